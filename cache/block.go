package cache

import "github.com/imagefs/imagefs/image"

// BlockSize is the unit of the cache in bytes. 128 KiB: a read of any few
// kibibytes touches at most two blocks and so fetches at most 256 KiB, also where
// it straddles a boundary; it is what the kernel reads ahead by default, so one
// READ is one block; behind 20 ms of round trip and 50 MB/s it adds 2.6 ms to a
// random read; and a request costs a Glance some 10 ms of CPU whatever its
// size, so that smaller blocks would save it nothing.
const BlockSize = 128 << 10

// MaxSpan is the most bytes that one request asks for because a reader waits; what is
// prefetched comes in requests as long as the caller wants them. 4 MiB: at 50 MB/s
// such a request lasts 80 ms, so that a round trip of 20 ms is the smaller part.
const MaxSpan = 4 << 20

// spanBlocks is MaxSpan in blocks.
const spanBlocks = MaxSpan / BlockSize

// ownBehind is how many blocks a request under way that is a reader's own prefetch may
// be behind a block that it waits for, before it gets another request; one of somebody
// else may be MaxSpan behind. 16 MiB: what the eight coroutines of qemu-img convert
// are apart, which all wait for one request.
const ownBehind int64 = 16 << 20 / BlockSize

// pieceBlocks is the most blocks that one read holds or waits for at a time: a
// longer read goes piece by piece. As long as a span, so that pieces do not cut
// requests short.
const pieceBlocks = spanBlocks

// Blocks returns the number of blocks of an image of size bytes.
func Blocks(size int64) int64 {
	if size <= 0 {
		return 0
	}
	return (size-1)/BlockSize + 1 // the service may say any size
}

// BlockSpan returns the bytes of the block with the given index in an image of
// size bytes: BlockSize of them, fewer in the last block, none behind the end.
func BlockSpan(index, size int64) image.Span {
	return image.Span{Off: index * BlockSize, Len: BlockSize}.Clip(size)
}

// blockRange returns the indexes [first, end) of the blocks that hold any byte of
// s, which must lie inside the image.
func blockRange(s image.Span) (first, end int64) {
	if s.Len <= 0 {
		return 0, 0
	}
	return s.Off / BlockSize, Blocks(s.End())
}
