package disk

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
)

// Whatever an index holds behind a header that is right, and whatever the data file, the
// store opens, and serves only blocks that have their checksums.
func FuzzIndex(f *testing.F) {
	slot := func(sum, stamp uint32) []byte { return appendSlot(nil, makeSlot(sum, stamp)) }
	block := bytes.Repeat([]byte("block"), unit)[:unit]
	f.Add(slot(checksum(block), 7), block, int64(unit))
	f.Add(append(slot(1, 0), slot(checksum(block[:5]), 1<<31)...), append(bytes.Clone(block), block[:5]...), int64(unit+5))
	f.Add(bytes.Repeat(slot(1, 1), 3), block, int64(1<<40))
	f.Add([]byte("cut"), []byte{}, int64(3*unit))
	f.Fuzz(func(t *testing.T, slots, data []byte, size int64) {
		const large = 1 << 40 // bytes: no filesystem's largest
		p := draw(1, 0)
		if p.img.Size = size; size < 0 || size > large || len(data) > 1<<20 {
			return
		}
		o := options(t.TempDir())
		head, err := (&header{BlockSize: unit, Service: service, ID: p.img.ID, Version: p.key().Version, Size: size, Hash: p.img.Digest()}).encode()
		must(t, err)
		must(t, os.WriteFile(path(o, p, indexSuffix), append(head, slots...), 0o600))
		must(t, os.WriteFile(path(o, p, dataSuffix), data, 0o600))
		if int64(len(data)) < size {
			must(t, os.Truncate(path(o, p, dataSuffix), size))
		}
		s, err := Open(o)
		must(t, err)
		i := p.in(s)
		for at := 0; at+slotSize <= len(slots); at += slotSize {
			index := int64(at / slotSize)
			if index*unit >= size {
				break
			}
			buf := make([]byte, min(unit, size-index*unit))
			if i.Read(index, buf) && checksum(buf) != binary.LittleEndian.Uint32(slots[at:]) {
				t.Errorf("block %d is not what its slot says", index)
			}
		}
		i.Close()
		must(t, s.Close())
	})
}
