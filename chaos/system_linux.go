package main

import "syscall"

// child has the kernel end a process with the supervisor. An interrupt from the keyboard is for the supervisor alone.
func child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// mountSmallDisk makes a disk in memory that can be filled. It needs root.
func mountSmallDisk(folder, size string) error {
	return syscall.Mount("none", folder, "tmpfs", 0, "mode=755,size="+size)
}

func unmountDisk(folder string) error { return syscall.Unmount(folder, 0) }
