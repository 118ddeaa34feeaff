package format

import (
	"bytes"
	"io"
)

// containerCompressed is the container format that announces compressed data.
const containerCompressed = "compressed"

// Refused says why content cannot become an image as it is.
type Refused struct {
	Reason string // one sentence for the user: what is wrong, and what helps where something does
}

// Error returns the reason.
func (r *Refused) Error() string { return r.Reason }

// Check says whether the size bytes of r can become a new image of the given
// disk and container format (the Image service's words; "" where not known). It
// returns a *Refused for a qcow2 or vmdk that needs another file to be whole
// (which exists nowhere near the image, or names a file of the host that will
// open it), and for a gzip, xz or zstd file unless the container format says
// compressed. Any other error is one of r.ReadAt.
//
// The disk format decides what is looked at, not the content: a raw disk may
// hold another format's header, written there by a guest.
func Check(r io.ReaderAt, size int64, disk, container string) error {
	s := source{r: r, size: size}
	if container != containerCompressed {
		head, err := s.at(0, 8)
		if err != nil {
			return err
		}
		if name := compression(head); name != "" {
			return &Refused{"the file is compressed (" + name + "); unpack it first, or set the container format to " + containerCompressed}
		}
	}
	switch disk {
	case QCOW2:
		return checkQCOW2(s)
	case VMDK:
		return checkVMDK(s)
	default:
		return nil
	}
}

// compression names the compressed format that the head belongs to, or "".
func compression(head []byte) string {
	switch {
	// Method 8 (deflate) is the only one in use; the upper flag bits are reserved.
	case len(head) >= 4 && bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}) && head[3]&0xe0 == 0:
		return "gzip"
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return "xz"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	default:
		return ""
	}
}
