// Package imageserver is an embedded Image API v2 server: an [http.Handler] with
// one store, kept in a directory. It is what `imagefs serve` and `imagefs demo`
// run and what the tests of other rooms talk to. Statuses, codes, sentences and
// links are those of Glance 25.1 with a file store, so that a client that works
// here works there; where it differs on purpose a comment says so. It knows no
// users: see [Options] for tokens and projects.
//
// # On disk
//
// DIR/records/ID.json is one image record, DIR/data/ID its bytes, DIR/staged/ID
// what glance-direct staged, DIR/deleted the ids that can never be used again,
// DIR/partial/ everything half written (emptied at start) and DIR/lock keeps a
// second server out. Every file is written in partial/, synced and renamed, and
// data is in place before the record says so: a kill at any moment leaves a
// completed upload whole and an interrupted one as a queued record.
//
// # Goroutines
//
// ServeHTTP starts none that outlives its request, except the import of staged
// data, which [Server.Close] waits for.
//
// # Locks
//
// A record is never changed in place: whoever changes an image holds its lock in
// index.changing (one stripe per group of ids) while it reads the record, writes
// the new one to disk and swaps it into the index; index.mu is taken inside that
// and only for the swap. No lock is held while a body is read or written.
//
// Units: sizes and offsets are bytes, min_disk GiB, min_ram MiB, usage in
// /v2/info/usage MiB; times are UTC with whole seconds.
package imageserver
