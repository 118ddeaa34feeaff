package format

import "io"

// The disk formats that Detect tells apart, in the Image service's words.
const (
	QCOW2 = "qcow2"
	VMDK  = "vmdk"
	VDI   = "vdi"
	VHDX  = "vhdx"
	VHD   = "vhd"
	ISO   = "iso"
	Raw   = "raw"
)

// sectorSize is what the headers of disk formats are measured in, in bytes.
const sectorSize = 512

// Where an ISO keeps its signature, in bytes.
const (
	isoDescriptor   = 16 * 2048 // the first volume descriptor follows 16 system sectors
	isoDescriptorSz = 2048      // one CD sector: anything shorter is no volume
)

// Detect returns the disk format of the size bytes of r, in the Image service's
// words: qcow2, vmdk, vdi, vhdx, vhd, iso, else raw. A signature alone does not
// decide: the version fields beside it must be of that format too, so that a raw
// disk which happens to carry a few bytes is not misnamed. An error is one of
// r.ReadAt; content of any kind and length is not an error.
func Detect(r io.ReaderAt, size int64) (string, error) {
	s := source{r: r, size: size}
	head, err := s.at(0, sectorSize)
	if err != nil {
		return "", err
	}
	switch {
	case isQCOW2(head):
		return QCOW2, nil
	case isSparseVMDK(head), isDescriptorVMDK(head):
		return VMDK, nil
	case isVDI(head):
		return VDI, nil
	}
	for _, probe := range []struct {
		format string
		is     func(source, []byte) (bool, error)
	}{
		{VHDX, isVHDX},
		{VHD, isVHD}, // before iso: a fixed VHD can wrap any content
		{ISO, isISO},
	} {
		found, err := probe.is(s, head)
		if err != nil {
			return "", err
		}
		if found {
			return probe.format, nil
		}
	}
	return Raw, nil
}

// isISO wants an ISO 9660 volume descriptor in sector 16. What the 16 sectors
// before it hold does not matter: a hybrid ISO has an MBR or a GPT there and
// boots from a disk too, and is still an ISO.
func isISO(s source, _ []byte) (bool, error) {
	p, err := s.at(isoDescriptor, isoDescriptorSz)
	if err != nil || len(p) < isoDescriptorSz {
		return false, err
	}
	kind, version := p[0], p[6]
	return string(p[1:6]) == "CD001" && version == 1 && (kind <= 3 || kind == 255), nil
}
