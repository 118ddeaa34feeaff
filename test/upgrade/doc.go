// Package upgrade has files of each format that imagefs has written so far, as its
// daemons left them on local disks and at a service, and holds today's program to them:
// what was written before an upgrade is read, served and finished after it, and what a
// later version has written is left alone.
//
// testdata/format-N has in staging/ and cache/ what two mounts left that were killed in the
// middle of their work, and in served/ the directory of the embedded server that was
// behind them. A directory is never changed: when a format changes, today's program
// writes another one beside it (go test ./test/upgrade -write format-2), and goes on
// reading the old.
//
// What is in a fixture names the service. So that its address may be any, the binary gets
// there by HTTP_PROXY, and endpoint is a name that nobody resolves.
package upgrade
