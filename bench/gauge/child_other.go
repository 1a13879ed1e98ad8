//go:build !linux

package gauge

import "syscall"

// Child leaves an interrupt from the keyboard to the process that starts another. Only Linux can tie the two together.
func Child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
