package main

import "golang.org/x/sys/unix"

// keepFromDumps keeps what is in the process's memory, passwords and tokens among it,
// out of core dumps, also those that a program takes through a pipe, which no limit on
// their size forbids; and from other processes of the same user, who could read it by
// ptrace(2) or /proc. A program that this one starts is not concerned.
func keepFromDumps() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fail(exitInternal, "the process cannot be kept from core dumps: %w", err)
	}
	return nil
}
