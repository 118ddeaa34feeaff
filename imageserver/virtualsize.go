package imageserver

import (
	"bytes"
	"encoding/binary"
)

// virtualSize finds the size of the disk that an image describes, from its first
// bytes; nil where the bytes do not look like the format or do not tell.
func virtualSize(format string, head []byte, size int64) *int64 {
	var v int64
	switch format {
	case "raw":
		v = size
	case "qcow2":
		if len(head) < 32 || !bytes.HasPrefix(head, []byte("QFI\xfb")) {
			return nil
		}
		v = int64(binary.BigEndian.Uint64(head[24:32]))
	case "vhd":
		// The footer, whose copy begins a dynamic disk: current size at 48.
		if len(head) < 56 || !bytes.HasPrefix(head, []byte("conectix")) {
			return nil
		}
		v = int64(binary.BigEndian.Uint64(head[48:56]))
	case "vdi":
		// The signature stands behind 64 bytes of text, the disk's size at 0x170.
		const signature = 0xbeda107f
		if len(head) < 0x178 || binary.LittleEndian.Uint32(head[0x40:0x44]) != signature {
			return nil
		}
		v = int64(binary.LittleEndian.Uint64(head[0x170:0x178]))
	case "iso":
		// The primary volume descriptor: blocks at 80, their size at 128.
		const at = 32 << 10
		if len(head) < at+130 || string(head[at+1:at+6]) != "CD001" {
			return nil
		}
		blocks, block := binary.LittleEndian.Uint32(head[at+80:at+84]), binary.LittleEndian.Uint16(head[at+128:at+130])
		v = int64(blocks) * int64(block)
	default:
		return nil
	}
	if v <= 0 {
		return nil
	}
	return &v
}
