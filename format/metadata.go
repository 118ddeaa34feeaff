package format

import "io"

// Span is the byte interval [Off, Off+Len) of one image.
type Span struct {
	Off int64 // bytes from the start of the image
	Len int64 // bytes, more than 0
}

const (
	// metadataMost is the longest span that Metadata names, in bytes. 1 MiB is the
	// block table of 500 GiB in the formats that have one entry of 4 bytes for each
	// 2 MiB; where a table is longer, whoever reads it goes on sequentially.
	metadataMost = 1 << 20

	// headerMost is how much of an image's start is read as its header, in bytes:
	// more than any format's first header has.
	headerMost = 4096
)

// Metadata returns where the size bytes of r keep the tables that whoever opens the
// disk reads next, the most urgent first. The header itself, in the first 512 bytes,
// is not among them. The format is told by content; of one that has no
// such tables, or is none of ours, nothing is returned.
//
// r may have less than size bytes, or holes that it answers with fewer bytes than
// were asked for (and io.EOF): what these would tell is left out, and a later call
// on more bytes may return more. Every span lies inside the image and has at most 1
// MiB, and there are at most 8, whatever the header says. The error is one of
// r.ReadAt.
func Metadata(r io.ReaderAt, size int64) ([]Span, error) {
	s := source{r: r, size: size}
	head, err := s.at(0, headerMost)
	if err != nil {
		return nil, err
	}
	found := &tables{size: size}
	switch {
	case isQCOW2(head):
		err = found.qcow2(s, head)
	case isSparseVMDK(head):
		err = found.vmdk(s, head)
	case isVDI(head):
		found.vdi(head)
	case isVHDFooter(head):
		err = found.vhd(s, head)
	case isVHDXFile(head):
		err = found.vhdx(s)
	}
	if err != nil {
		return nil, err
	}
	return found.spans, nil
}

// Opening returns what to fetch when the first bytes of an image are read that is
// said to have the given disk format: the header, and the tables where the usual
// writers put them. It is a guess made before any byte is known, of at most 256 KiB.
func Opening(disk string, size int64) []Span {
	found := &tables{size: size}
	switch disk {
	case QCOW2:
		// QEMU puts the refcount table at 64 KiB and the L1 table at 192 KiB; with
		// 64 KiB to a cluster, its default, a cluster holds either of nearly any disk.
		found.add(0, 256<<10)
	case VMDK:
		found.add(0, 256<<10) // of what QEMU reads, see preambleVMDK
	case VHDX:
		found.add(0, vhdxRegions+vhdxRegionsLen)
	case VDI:
		// The block map follows the header: 256 KiB of it map 64 GiB.
		found.add(0, 256<<10)
	case VHD:
		// A fixed disk has only the footer; of a dynamic one the header and the
		// beginning of the block table follow the footer's copy.
		found.add(0, headerMost)
		found.add(uint64(max(0, size-sectorSize)), sectorSize)
	}
	return found.spans
}

// preambleVMDK is how much of a VMDK QEMU reads in one piece, in bytes, looking for a
// descriptor (block/vmdk.c, vmdk_open).
const preambleVMDK = 1 << 20

// Preamble returns how many bytes from the beginning programs read, in large pieces, to
// open a disk of the given format, in bytes: that they do does not say that they read
// the rest.
func Preamble(disk string) int64 {
	if disk == VMDK {
		return preambleVMDK
	}
	return 0
}

// tablesMost is the most spans that Metadata names: no format has more tables.
const tablesMost = 8

// tables collects spans of an image. What a header says of them is not to be
// believed: add keeps them inside the image.
type tables struct {
	size  int64 // of the image, bytes
	spans []Span
}

// add notes n bytes at off, as far as they lie inside the image.
func (t *tables) add(off, n uint64) {
	if n == 0 || t.size <= 0 || off >= uint64(t.size) || len(t.spans) == tablesMost {
		return
	}
	left := t.size - int64(off)
	t.spans = append(t.spans, Span{Off: int64(off), Len: int64(min(n, uint64(left), metadataMost))})
}

// addSectors notes n bytes at a sector.
func (t *tables) addSectors(sector, n uint64) {
	if sector <= uint64(max(0, t.size))/sectorSize {
		t.add(sector*sectorSize, n)
	}
}
