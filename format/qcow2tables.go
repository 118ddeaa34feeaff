package format

import "encoding/binary"

const (
	qcow2BitmapsExt    = 0x2385_2875 // header extension: where the directory of bitmaps is
	qcow2BitmapsLen    = 24          // of that extension, bytes
	qcow2SnapshotLen   = 128         // of a snapshot's entry: 40 bytes, two texts of free length, more in some
	qcow2ReftableEntry = 8           // an entry of the refcount table or of an L1 table, bytes
)

// qcow2 notes the L1 table, the refcount table, the snapshots and the bitmaps.
func (t *tables) qcow2(s source, head []byte) error {
	bits := binary.BigEndian.Uint32(head[20:])
	if bits < qcow2MinBits || bits > qcow2MaxBits {
		return nil // damaged: nobody will open it
	}
	u32 := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(head[at:])) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	t.add(u64(40), u32(36)*qcow2ReftableEntry)
	t.add(u64(48), u32(56)<<bits)
	t.add(u64(64), u32(60)*qcow2SnapshotLen)
	if u32(4) == 3 && len(head) >= qcow2HeaderV3 {
		return t.qcow2Bitmaps(s, int64(u32(100)), int64(1)<<bits)
	}
	return nil
}

// qcow2Bitmaps notes the directory of bitmaps, if a header extension between off
// and end names one.
func (t *tables) qcow2Bitmaps(s source, off, end int64) error {
	for range qcow2ExtLimit {
		p, err := s.at(off, 8+qcow2BitmapsLen)
		if err != nil || off >= end || len(p) < 8 {
			return err
		}
		length := int64(binary.BigEndian.Uint32(p[4:]))
		switch kind := binary.BigEndian.Uint32(p); {
		case kind == 0:
			return nil
		case kind == qcow2BitmapsExt && len(p) == 8+qcow2BitmapsLen:
			t.add(binary.BigEndian.Uint64(p[24:]), binary.BigEndian.Uint64(p[16:]))
			return nil
		}
		off += 8 + (length+7)&^7 // at most 4 GiB, so no overflow
	}
	return nil
}
