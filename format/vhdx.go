package format

import (
	"bytes"
	"encoding/binary"
)

const (
	vhdxHeader1    = 64 << 10  // first of two copies of the header, bytes
	vhdxHeader2    = 128 << 10 // the second
	vhdxRegions    = 192 << 10 // first of two copies of the region table
	vhdxRegionsLen = 64 << 10  // of one copy
	vhdxRegionsTop = 16        // bytes before the first entry
	vhdxRegionLen  = 32        // bytes of an entry
	vhdxRegionMost = 16        // entries looked at: there are two kinds in use

	// vhdxItems is how much of the metadata region is read: its table of 64 KiB,
	// and the items behind it, of a few dozen bytes each.
	vhdxItems = 128 << 10
)

// GUIDs of the regions, as they lie in the table.
var (
	vhdxMetadataRegion = []byte{0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e}
	vhdxBlockTable     = []byte{0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08}
)

// isVHDXFile recognises the file identifier, which is all that the first bytes have.
func isVHDXFile(head []byte) bool { return bytes.HasPrefix(head, []byte("vhdxfile")) }

// isVHDX wants the file identifier and one of the two copies of the header,
// which are written in turn: after a crash one of them may be damaged.
func isVHDX(s source, head []byte) (bool, error) {
	if !isVHDXFile(head) {
		return false, nil
	}
	for _, off := range []int64{vhdxHeader1, vhdxHeader2} {
		p, err := s.at(off, 4)
		if err != nil {
			return false, err
		}
		if string(p) == "head" {
			return true, nil
		}
	}
	return false, nil
}

// vhdx notes the headers, the region table, and the regions that it names: the
// metadata, then the block table.
func (t *tables) vhdx(s source) error {
	t.add(vhdxHeader1, headerMost)
	t.add(vhdxHeader2, headerMost)
	t.add(vhdxRegions, vhdxRegionsLen)
	p, err := s.at(vhdxRegions, vhdxRegionsTop+vhdxRegionMost*vhdxRegionLen)
	if err != nil || !bytes.HasPrefix(p, []byte("regi")) {
		return err
	}
	for _, region := range []struct {
		guid []byte
		most uint64
	}{{vhdxMetadataRegion, vhdxItems}, {vhdxBlockTable, metadataMost}} {
		for at := vhdxRegionsTop; at+vhdxRegionLen <= len(p); at += vhdxRegionLen {
			if bytes.Equal(p[at:at+16], region.guid) {
				t.add(binary.LittleEndian.Uint64(p[at+16:]), min(uint64(binary.LittleEndian.Uint32(p[at+24:])), region.most))
				break
			}
		}
	}
	return nil
}
