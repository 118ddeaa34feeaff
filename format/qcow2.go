package format

import "encoding/binary"

// Fields of a qcow2 header and its limits, in bytes unless said otherwise.
const (
	qcow2Magic       = "QFI\xfb"
	qcow2HeaderV2    = 72  // length of a version 2 header
	qcow2HeaderV3    = 104 // least length of a version 3 header
	qcow2HeaderMax   = 4096
	qcow2DataFileBit = 1 << 2      // incompatible feature: the data are in another file
	qcow2DataFileExt = 0x4441_5441 // header extension "DATA": that file's name
	qcow2MinBits     = 9           // clusters of 512 bytes …
	qcow2MaxBits     = 21          // … to 2 MiB: beyond that QEMU refuses the file
	qcow2ExtLimit    = 1024        // extensions looked at; QEMU writes fewer than ten
)

// isQCOW2 wants versions 2 or 3: version 1 is the older format qcow, for which
// the Image service has no word.
func isQCOW2(head []byte) bool {
	if len(head) < qcow2HeaderV2 || string(head[:4]) != qcow2Magic {
		return false
	}
	version := binary.BigEndian.Uint32(head[4:])
	return version == 2 || version == 3
}

// checkQCOW2 refuses a qcow2 that is not whole by itself.
func checkQCOW2(s source) error {
	head, err := s.at(0, sectorSize)
	if err != nil || !isQCOW2(head) {
		return err // not a qcow2 at all: for the service to judge
	}
	if binary.BigEndian.Uint64(head[8:]) != 0 || binary.BigEndian.Uint32(head[16:]) != 0 {
		return &Refused{"the qcow2 has a backing file; flatten it first (qemu-img convert)"}
	}
	bits := binary.BigEndian.Uint32(head[20:])
	if bits < qcow2MinBits || bits > qcow2MaxBits {
		return &Refused{"the qcow2 header is damaged (cluster size)"}
	}
	extensions := int64(qcow2HeaderV2)
	if binary.BigEndian.Uint32(head[4:]) == 3 {
		if len(head) < qcow2HeaderV3 {
			return &Refused{"the qcow2 header is cut short"}
		}
		if binary.BigEndian.Uint64(head[72:])&qcow2DataFileBit != 0 {
			return refusedDataFile()
		}
		extensions = int64(binary.BigEndian.Uint32(head[100:]))
		if extensions < qcow2HeaderV3 || extensions > qcow2HeaderMax {
			return &Refused{"the qcow2 header is damaged (length)"}
		}
	}
	return checkQCOW2Extensions(s, extensions, int64(1)<<bits)
}

// checkQCOW2Extensions walks the header extensions from off to the end of the
// first cluster. Only their type and length are read, never their content.
func checkQCOW2Extensions(s source, off, end int64) error {
	for n := 0; off < end; n++ {
		p, err := s.at(off, 8)
		if err != nil {
			return err
		}
		if len(p) < 8 || n == qcow2ExtLimit {
			return &Refused{"the qcow2 header is damaged (extensions)"}
		}
		switch binary.BigEndian.Uint32(p) {
		case 0:
			return nil
		case qcow2DataFileExt:
			return refusedDataFile()
		}
		length := int64(binary.BigEndian.Uint32(p[4:]))
		off += 8 + (length+7)&^7 // padded to 8 bytes; at most 4 GiB, so no overflow
	}
	return nil
}

func refusedDataFile() error {
	return &Refused{"the qcow2 keeps its data in another file; convert it first (qemu-img convert)"}
}
