package format

import "encoding/binary"

// vhdCookie opens a VHD footer, in the file's last sector.
const vhdCookie = "conectix"

// isVHD recognises dynamic and differencing VHDs, which repeat their footer at
// the start, and fixed ones, which are a raw disk with a footer behind it.
func isVHD(s source, head []byte) (bool, error) {
	if isVHDFooter(head) {
		return true, nil
	}
	tail, err := s.at(s.size-sectorSize, sectorSize)
	if err != nil || len(tail) < sectorSize {
		return false, err
	}
	// A raw disk can end with anything. Behind a fixed disk the footer must be
	// whole and must describe no more bytes than lie before it.
	size := binary.BigEndian.Uint64(tail[48:])
	return isVHDFooter(tail) && vhdChecksumHolds(tail) && size <= uint64(s.size-sectorSize), nil
}

// isVHDFooter checks the cookie, the format version (1.0) and the disk type
// (fixed, dynamic, differencing).
func isVHDFooter(p []byte) bool {
	if len(p) < sectorSize || string(p[:8]) != vhdCookie {
		return false
	}
	version, kind := binary.BigEndian.Uint32(p[12:]), binary.BigEndian.Uint32(p[60:])
	return version == 0x0001_0000 && kind >= 2 && kind <= 4
}

// vhdChecksumHolds compares the footer's checksum, the complement of the sum of
// all its bytes but the checksum's own.
func vhdChecksumHolds(p []byte) bool {
	var sum uint32
	for i, b := range p[:sectorSize] {
		if i < 64 || i >= 68 {
			sum += uint32(b)
		}
	}
	return ^sum == binary.BigEndian.Uint32(p[64:])
}
