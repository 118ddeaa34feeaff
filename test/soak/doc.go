// Program soak lives with a mount for a long time: the tools that people use work on it
// at random while requests fail, and while the daemon, the service, Keystone and the
// local disk do. It fails if a byte is wrong, if something is lost that was accepted, if
// an operation fails for which nothing was done, or if a bound is passed:
//
//	go run ./test/soak -minutes 15 -service embedded
//	go run ./test/soak -minutes 5 -service glance
//	go run ./test/soak -minutes 15 -write     its figures into docs/RELIABILITY.md
//
// A round has its workers at work, and at a random time something that goes wrong. Then
// the workers pause, everything settles, and what the service has is compared with the
// ledger of what was accepted.
//
// Each worker is a goroutine, as is the sampler; they end before run returns. All but a
// worker's own files is guarded by its lock, and none is held while anything is awaited.
package main
