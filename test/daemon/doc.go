// Package daemon builds the real binary and runs it on a mountpoint, beside an embedded
// Image service, for the tests and programs that live with one for long. It starts one
// goroutine per life of a daemon, which ends with it.
package daemon
