package runtimeapi

import "syscall"

// ownGroup puts a process in a group of its own, out of reach of the terminal's ^C, and lets it die with us whatever kills us.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
