//go:build !linux

package runtimeapi

import "syscall"

// ownGroup puts a process in a group of its own, out of reach of the terminal's ^C. Should we be killed outright, the system
// hangs up on the orphaned group, which ends it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
