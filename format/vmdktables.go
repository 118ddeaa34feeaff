package format

import "encoding/binary"

const (
	vmdkEntry = 4 // bytes of an entry of a grain directory
	// vmdkTail is the end of a streamOptimized extent, in bytes: a marker, the
	// footer, and the marker of the end of the stream.
	vmdkTail = 3 * sectorSize
)

// vmdk notes the footer if the directories are at the end, both grain directories,
// and where QEMU looks for a descriptor.
func (t *tables) vmdk(s source, head []byte) error {
	header := head
	if binary.LittleEndian.Uint64(head[56:]) == vmdkGrainsAtEnd {
		if s.size < vmdkTail {
			return nil
		}
		t.add(uint64(s.size-vmdkTail), vmdkTail)
		footer, err := s.at(s.size-vmdkFooterOffset, vmdkHeader)
		if err != nil {
			return err
		}
		header = nil
		if isSparseVMDK(footer) {
			header = footer
		}
	}
	if header != nil {
		t.vmdkDirectories(header)
	}
	t.add(0, vmdkTextMax)
	return nil
}

// vmdkDirectories notes both grain directories.
func (t *tables) vmdkDirectories(header []byte) {
	capacity := binary.LittleEndian.Uint64(header[12:])
	grain := binary.LittleEndian.Uint64(header[20:])
	entries := uint64(binary.LittleEndian.Uint32(header[44:]))
	// Sectors that one entry of the directory maps: QEMU refuses other values.
	if grain == 0 || grain > 1<<21 || entries == 0 || entries > 1<<21 {
		return
	}
	perTable := grain * entries
	length := min(capacity/perTable+1, metadataMost) * vmdkEntry
	t.addSectors(binary.LittleEndian.Uint64(header[56:]), length)
	t.addSectors(binary.LittleEndian.Uint64(header[48:]), length)
}
