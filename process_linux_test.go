package main

import "syscall"

// withParent has the kernel kill the process once the test's own process is gone: a test binary that is killed, or runs
// out of time, would otherwise leave its processes behind.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
