// Package fs is the kernel's face of imagefs: nodes and handles over the rooms
// that know images, bytes and drafts. It maps kinds of error to errno (errno.go)
// and decides who may change what (policy.go); nothing else does.
//
// # Parts
//
// A node is an entry: an inode number stays while a commit gives the entry
// another image. Nodes under .by-id are their own and never change. A handle is
// one open file. A draft (draft.go) is the writing side of a node: it exists from
// the first open for writing until the service has its bytes, or until it is kept
// in staging for the user. With --writeback a close is answered when its bytes are on
// the local disk; the commit is owed from then on and follows behind (behind.go), with
// the entry in use. So is one that a release has tried and that can succeed later.
//
// # Goroutines
//
//   - go-fuse runs one goroutine per kernel request.
//   - call.watch, one per request that had to wait, ends with its request.
//   - notifier.run, one per mount, sends every kernel notification; ends at unmount.
//   - draft.settle, one per draft whose last writer has closed; counted in
//     FS.settling, which Server.Wait waits for.
//   - draft.lingerOn, at most one per draft of a file that nobody has opened yet, or that
//     ended empty and would not show; counted in FS.settling. Unmounting hurries it.
//   - draft.commitBehind, one per draft whose commit is owed, tries until it succeeds;
//     of them FS.places are at work at once. Counted in FS.settling; ended by
//     Server.Abort.
//   - unsent.keep, one per image with attributes that wait to be sent, ends when they
//     are, or nothing waits any more; counted in FS.settling. Unmounting hurries it.
//   - usage refresh, at most one; counted in FS.settling.
//
// # Lock order
//
// node.turn (a channel: held while a commit, an unlink, a rename, a change of the
// record or the beginning of a draft runs, and so across network I/O: it is what
// the waiting is for, and is taken with a ctx; a rename takes first that of the entry
// it renames, then that of the one it replaces, and nobody else takes two) → node.mu →
// draft.mu → FS.mu → go-fuse's locks of its tree → notifier.mu. No mutex is held
// across network I/O, local I/O or a kernel notification. passthrough.mu and unsent.mu
// are taken last.
//
// # Units
//
// Sizes and offsets are bytes.
package fs
