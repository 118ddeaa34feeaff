// Package staging keeps drafts: files being written, on the local disk, until the
// Image service has accepted them. It does no network.
//
// A draft is two files in DIR/<hash of the service>/: <draft id>.data holds its
// bytes, sparse, as long as the draft itself; <draft id>.json is its journal.
// Both are 0600. A draft over a base image (copy-on-write) keeps only what was
// written: below limit, the part of the base that is still visible, the extents
// say which bytes are local, and all others come from the base; from limit on
// every byte is local. A new draft is one whose limit is 0, so there is one path
// for both.
//
// The journal is written aside, fsynced, renamed over its predecessor, and the
// directory is fsynced. Its rename changes the inode, so the lock that says
// "somebody holds this draft" is a flock on the data file, which is never
// renamed. The kernel drops it with the process, so what nobody holds was left
// behind by an earlier run. The journal of a draft over a base carries limit and
// extents as of its last writing: that is every Sync and every state change.
// What was written since then and not synced may read as the base again after a
// crash, as on a disk that lost its power.
// Reopen takes a draft up again that nobody holds, and Record.Uncertain says
// whether that can be so: where the machine went down, and over a base also where
// only the process did, unless it let go of the draft by itself (Record.Closed).
//
// A disk without room takes no journal. What matters most, that a draft is not to be
// committed, is then written over a place that each journal has for it (verdict).
//
// # A draft's end
//
// Discard first renames the journal to <draft id>.discarded and, unless the journal
// says that the service has everything, fsyncs the directory, then removes the
// data, then that marker. The rename is the one atomic step: before it the draft
// is whole and listed, after it there is none, and a crash in between leaves a
// marker that proves that the data may go; Open finishes such work. Removing the
// data first could leave a journal that promises bytes which are gone; removing
// the journal first without a marker would leave bytes of which nobody could
// tell whether they are precious.
//
// # Renames
//
// <id>.rename is the journal of a rename over what is there: lines of JSON, of which
// the last whole one counts. Each is appended and fsynced before what it tells of is
// done, so the file stays one inode and carries the lock itself. Without one whole
// line nothing was done, and Open removes it.
//
// # Goroutines, locks, units
//
// The package starts no goroutine but that of Snapshot.During, which the end of its
// draft waits for. Lock order: a draft's gate (writers share it;
// truncation, allocation and a commit's Snapshot hold it alone; waits obey ctx),
// then its journal mutex (held across local disk writes only), then mu (held for
// memory only). Reads take no gate. Nothing is held while a Base is read.
//
// Offsets and sizes are bytes; times are UTC.
package staging
