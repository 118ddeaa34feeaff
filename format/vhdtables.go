package format

import "encoding/binary"

const (
	vhdDynamicLen = 1024 // of the header behind the footer's copy, bytes
	vhdEntry      = 4    // bytes of an entry of the block table
	vhdFixed      = 2    // disk type without any table
)

// vhd notes the dynamic header, the block table and the footer at the end, which
// is the one that counts where its copy differs.
func (t *tables) vhd(s source, head []byte) error {
	if binary.BigEndian.Uint32(head[60:]) == vhdFixed {
		return nil
	}
	header := binary.BigEndian.Uint64(head[16:])
	t.add(header, vhdDynamicLen)
	if header < uint64(max(0, s.size)) {
		p, err := s.at(int64(header), vhdDynamicLen)
		if err != nil {
			return err
		}
		if len(p) == vhdDynamicLen && string(p[:8]) == "cxsparse" {
			t.add(binary.BigEndian.Uint64(p[16:]), uint64(binary.BigEndian.Uint32(p[28:]))*vhdEntry)
		}
	}
	t.add(uint64(max(0, s.size-sectorSize)), sectorSize)
	return nil
}
