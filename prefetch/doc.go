// Package prefetch turns the reads of open images into fetches of blocks: what a
// read needs at once, and what a sequential reader will need next.
//
// An Engine belongs to one service. A Reader is one open image; its window (pure
// policy, window.go) follows the sequential runs in its accesses and names the
// spans to fetch ahead, which the cache does behind all demand. The windows of all
// readers together stay within half of the memory budget, so that what was fetched
// ahead is still there when its reader comes.
//
// A window is divided into as many requests as the service answers well at once, which
// a Pace finds by measurement (pace.go). Where even a few are too many, one goes on for
// as long as its reader does.
//
// Whoever opens a disk reads its header and then its tables: they come in the same
// breath as the header (metadata.go), within what a lone small read may fetch.
//
// Load reads a part of an image as a reader does, and returns when the cache keeps it
// (load.go).
//
// An image in a store that serves no ranges is read through its spool: one whole
// stream, shared by the image's readers, fills the cache from byte 0 (spool.go).
// Readers wait until the stream has passed what they need. It runs ahead of the
// furthest reader by a bounded lead, then stops reading; ends when nobody has
// waited for a while; and begins again from byte 0 when somebody needs a block that
// it has passed and that is no longer in memory. When the image's bytes turn out to be
// wrong, its readers get errors from there on, and who opens it then has another spool.
//
// Streams hold places in the client, so they have places here (places.go): always
// at least one fewer than the client has, where it has more than one, so that
// fetches of spans go on beside any number of spools. A stream that is paused gives
// its place to another image's that waits, and no stream outlives spoolIdle without
// a waiter.
//
// Goroutines: one for each image that is spooling, started by a read that waits,
// ended by itself when idle, by the image's last Reader, or by Engine.Close, which
// waits for all of them.
//
// Locks, in this order: Engine.mu, spool.mu, places.mu; Reader.mu, metadata.mu and
// Pace.mu are taken with none of them held. The cache's lock is inside all of
// them. None is held across a request, a read of a body, or a write to the disk.
//
// Units: sizes, offsets, windows and limits are bytes; an index counts blocks of
// cache.BlockSize; times are as their type says.
package prefetch
