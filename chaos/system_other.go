//go:build !linux

package main

import (
	"errors"
	"syscall"
)

func child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// mountSmallDisk refuses: the suite starts its servers on Debian only, so it ends here.
func mountSmallDisk(string, string) error { return errors.ErrUnsupported }

func unmountDisk(string) error { return errors.ErrUnsupported }
