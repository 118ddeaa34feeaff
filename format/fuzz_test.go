package format_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/imagefs/imagefs/format"
)

// formats are the words that Detect may answer.
var formats = []string{"qcow2", "vmdk", "vdi", "vhdx", "vhd", "iso", "raw"}

// sparse is content of size bytes: head at the start, more at an offset, zeros
// elsewhere. It lets small inputs reach formats that are recognised far from the
// start.
type sparse struct {
	head, more []byte
	at, size   int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), s.size-off)))
	clear(p[:n])
	if off < int64(len(s.head)) {
		copy(p[:n], s.head[off:])
	}
	for i := range p[:n] {
		if at := off + int64(i) - s.at; at >= 0 && at < int64(len(s.more)) {
			p[i] = s.more[at]
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// The seeds in testdata/fuzz are the heads of images that qemu-img made.

func FuzzDetect(f *testing.F) {
	f.Add([]byte(nil), []byte(nil), int64(0), int64(0))
	f.Add([]byte(nil), []byte("\x01CD001\x01"), int64(32768), int64(1<<20))
	f.Add([]byte("vhdxfile"), []byte("head"), int64(64<<10), int64(4<<20))
	f.Fuzz(func(t *testing.T, head, more []byte, at, size int64) {
		s := sparse{head: head, more: more, at: at, size: size}
		got, err := format.Detect(s, size)
		if err != nil || !slices.Contains(formats, got) {
			t.Fatalf("Detect = %q, %v", got, err)
		}
		// What follows a header does not change it: only a fixed VHD is
		// recognised by its end.
		if got == "raw" || got == "vhd" || size > 1<<40 {
			return
		}
		s.size += 4096
		if again, err := format.Detect(s, s.size); err != nil || (again != got && again != "vhd") {
			t.Fatalf("with more behind it: Detect = %q, %v; want %q", again, err, got)
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(nil), int64(0), "qcow2", "bare")
	f.Fuzz(func(t *testing.T, content []byte, size int64, disk, container string) {
		err := format.Check(bytes.NewReader(content), size, disk, container)
		var refused *format.Refused
		if err != nil && (!errors.As(err, &refused) || refused.Reason == "") {
			t.Fatalf("Check = %v; want a refusal with a reason", err)
		}
		// Announcing compression only ever permits more.
		if err == nil {
			if err := format.Check(bytes.NewReader(content), size, disk, "compressed"); err != nil {
				t.Fatalf("Check for compressed = %v after nil for %q", err, container)
			}
		}
	})
}
