// Package disk keeps blocks of images on a local disk, across restarts.
//
// # Files
//
// Each image has two sparse files, named by fileName. The data file has every
// present block at the place that it has in the image, and the image's size. The
// index has a header (header.go: identity, hash, whether the whole was found right)
// and behind it eight bytes for each block: its CRC32C and the stamp of its last
// use; no stamp means that the block is absent.
//
// A block is written before its slot, and a slot is emptied before its block
// becomes a hole. So a kill at any moment leaves each block absent or right, as far
// as the kernel goes on; after a power loss, damage by others or by the disk, the
// checksum decides, for it is computed on every read. Damaged blocks are dropped
// and logged, and are then absent. Files that were removed or cut, and headers that
// do not parse, drop the image. An index of a format version that this program does not
// know, and one that cannot be read at all, is left alone with its data file, whatever
// room that takes: the image is not cached (load.go).
//
// The directory is locked by a flock: there is one Store for it on a machine. One that only
// looks (OpenIdle) evicts nothing, verifies what it is told to, and can be asked for the
// directory (giveway.go).
//
// # Room
//
// The blocks count in units of the filesystem against the limit, and against what
// leaves a twentieth of the filesystem free. A write that would pass either first
// evicts the blocks with the oldest stamps (evict.go). What cannot be written is
// left out: the cache is then smaller, which is no error. After an error nothing is
// written for a while.
//
// # Verification and pins
//
// When all blocks of an image are present, its hash is computed once, in the
// background, and noted in the header beside what identifies the data file's state:
// it holds until somebody touches the file. A wrong hash drops the image, and
// every reference to it that there is finds and stores nothing any more. The data
// file of a verified image can be handed out (Image.Pin). From then on it has no
// holes made in it, ever, since a mapping of it may outlive this process and would
// show zeros; it goes whole, by unlink, and not while it is pinned. A damaged block keeps its
// place there, and what is fetched of it is written over it.
//
// Whoever asks for it has an image looked at at once (Store.Examine): all blocks, and the
// hash whatever was noted.
//
// # Adoption
//
// A file that has a whole image becomes its data file by a link (Image.Adopt), with
// an index without slots: its bytes are no blocks yet. The verifier gives each its
// slot, as if it had just been written, and then verifies the image. Should blocks be
// taken away meanwhile, it gives up and drops the image, for a hole must not become a
// block. Bytes without slots that a stop in between leaves are found by the next
// Open, since the file takes more room than its blocks: it is dropped.
//
// # Bounds
//
// Memory: 9 bytes for each block on disk where whole runs of an image are, 550 where
// it is read at random over its length; nothing by the size of an image. Files: those
// of maxOpen images, what is pinned, and those of operations under way.
//
// # Goroutines
//
// One that adopts and verifies, from Open to Close, which waits for it. It has a thread of its
// own, which asks for the disk last, and rests while the cache is in use (pace.go).
//
// # Locks
//
// In this order: room.sweep, contents.io, Store.mu, contents.mu, room.mu. Of two
// images' io the second is only tried. Store.mu, contents.mu and room.mu are held
// across no I/O; Image.Has takes only contents.mu. contents.io is held across I/O on
// the local disk: shared by reads and writes of blocks, exclusively by what takes
// blocks away.
//
// Units: sizes and offsets are bytes, an index counts blocks from the start of an
// image, a stamp is seconds since 1970 (clock.go says why it may run ahead).
package disk
