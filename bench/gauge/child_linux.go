package gauge

import "syscall"

// Child has the kernel end a process with the one that started it. An interrupt from the keyboard is for that one alone.
func Child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
