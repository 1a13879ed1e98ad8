//go:build !linux

package main

import "syscall"

// withParent does nothing: only Linux can tie a process to the one that started it.
func withParent() *syscall.SysProcAttr { return nil }
