package format

import "encoding/binary"

const (
	vdiMagicOffset = 0x40 // bytes: after a text of free choice
	vdiMagic       = 0xbeda107f
	vdiHeaderLen   = 0x184 // up to the number of blocks, bytes
	vdiEntry       = 4     // bytes of an entry of the block map
)

// isVDI recognises versions 0.1 and 1.1, the only ones there are.
func isVDI(head []byte) bool {
	if len(head) < vdiMagicOffset+8 || binary.LittleEndian.Uint32(head[vdiMagicOffset:]) != vdiMagic {
		return false
	}
	version := binary.LittleEndian.Uint32(head[vdiMagicOffset+4:])
	return version == 0x0000_0001 || version == 0x0001_0001
}

// vdi notes the block map.
func (t *tables) vdi(head []byte) {
	if len(head) >= vdiHeaderLen {
		blocks := binary.LittleEndian.Uint32(head[0x180:])
		t.add(uint64(binary.LittleEndian.Uint32(head[0x154:])), uint64(blocks)*vdiEntry)
	}
}
