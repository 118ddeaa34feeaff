package disk

import (
	"encoding/binary"
	"sync/atomic"
)

// A slot is one block in the index: its CRC32C above its stamp. In memory it is a
// word that is read and changed at once; on disk it is the two numbers, each four
// bytes, little-endian.
const (
	slotSize = 8 // bytes on disk

	absent = uint64(0)
	// busy: its bytes are on their way to the disk. It is never written there, and
	// nobody who holds contents.io exclusively meets it.
	busy = uint64(1)
	// firstStamp is the earliest stamp of a present block.
	firstStamp = uint32(2)
)

func makeSlot(sum, stamp uint32) uint64 { return uint64(sum)<<32 | uint64(stamp) }

func isPresent(v uint64) bool { return stampOf(v) >= firstStamp }

func sumOf(v uint64) uint32 { return uint32(v >> 32) }

func stampOf(v uint64) uint32 { return uint32(v) }

// pageBlocks is the number of slots that are kept and allocated together: 64 of
// 128 KiB are 8 MiB of an image for half a kibibyte of memory. Read at random, a
// huge image costs no more than that for each of its blocks on disk.
const pageBlocks = 64

// page is a part of an index in memory.
type page struct {
	slots   [pageBlocks]atomic.Uint64
	present atomic.Int32 // slots of blocks that are present
	dirty   atomic.Bool  // stamps are newer than on disk
}

// slotAt is where the slot of a block lies in the index, in bytes.
func slotAt(index int64) int64 { return headerSize + index*slotSize }

// encode appends the slots as they are on disk. contents.io is held exclusively.
func (p *page) encode(out []byte) []byte {
	for i := range p.slots {
		out = appendSlot(out, p.slots[i].Load())
	}
	return out
}

func appendSlot(out []byte, v uint64) []byte {
	out = binary.LittleEndian.AppendUint32(out, sumOf(v))
	return binary.LittleEndian.AppendUint32(out, stampOf(v))
}

// decodeSlot returns the slot that the bytes on disk hold, or absent. A stamp
// ahead of now, which the clock of the last run or damage may have left, is now.
func decodeSlot(p []byte, now uint32) uint64 {
	sum, stamp := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
	if stamp == 0 {
		return absent
	}
	return makeSlot(sum, max(firstStamp, min(stamp, now)))
}

// each calls fn with every present block of the page, by its place in the page.
func (p *page) each(fn func(i int64, slot *atomic.Uint64)) {
	for i := range p.slots {
		if slot := &p.slots[i]; isPresent(slot.Load()) {
			fn(int64(i), slot)
		}
	}
}
