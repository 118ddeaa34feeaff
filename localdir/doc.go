// Package localdir makes and checks the local directories that are nobody else's: of
// drafts, cached blocks, logs and sockets. A directory is refused when it is a symbolic
// link (a caller may follow one by Resolve), when another user owns it or may write to it,
// or could put another one in its place.
//
// It starts no goroutine and takes no lock. What it has checked stays so, for only root
// and the user could change it.
package localdir
