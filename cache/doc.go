// Package cache holds blocks of images in memory and fetches the missing ones,
// each once, however many readers wait for it.
//
// A File is one reader's view of an image. File.ReadAt copies out of blocks that
// are resident and waits for the others: a run of neighbouring missing blocks is
// one fetch, a fetch is one span, and a span is one request. The bytes of a fetch
// are published block by block as they arrive, so the first block does not wait
// for the last. A block is handed to those who wait for it directly, not only
// through the memory tier: a read larger than the whole budget works.
//
// A fetch lives while anyone waits for one of its blocks or a File wants one
// ahead of its reader (File.Prefetch); the cancellation of one reader leaves the
// others alone, and the last one to lose interest ends the request. An error goes
// to the waiters of the blocks that did not arrive and is never kept: who comes
// later tries anew.
//
// At most Options.Streams fetches run. Demand goes before prefetch, a demand read
// that needs a block of a prefetch that is queued, or far behind it, makes that demand,
// half of the places are closed
// to prefetch (where there is more than one), and within a class the images take
// turns.
//
// Where requests are dear (Options.Long) the request of a prefetch asks for more than its
// blocks, and goes on with what its reader wants next (long.go). It waits for a slow reader
// for a second at most, and not while others wait for its place.
//
// Behind memory lies the disk (package disk), where there is one: a block that is not
// in memory is looked for there before it is fetched, and every block that arrives is
// written there by one goroutine for an image at a time (writer.go), for which no reader
// waits: the disk may not answer for a while. What the disk does not have as it was
// written it does not have, and is fetched.
//
// When bytes of an image turn out to be wrong (Drop, or a hash that the disk has
// computed), its Files get errors, and who opens it then shares nothing with them.
//
// Memory: the resident blocks stay within Options.Memory. Beside it there are one
// block for each running fetch, those that wait for the disk (at most 8 MiB), and the blocks that Views and reads under way hold (at
// most pieceBlocks each). Buffers are used again and never given back, so that the
// process keeps the most that was in use at one time.
//
// Goroutines: one for each running fetch, started under the lock and ended by its
// last block, an error, or Close; one for an image while its blocks wait for the
// disk; and one that closes an image's files when nothing is left of it in memory. Close
// waits for all of them.
//
// Locks: Cache.mu is the only one and guards everything in this package that
// changes. It is never held across a request or a copy of block data to a reader.
//
// Units: sizes and offsets are bytes; an index counts blocks of BlockSize from
// the start of an image; a cost is bytes of the memory budget.
package cache
