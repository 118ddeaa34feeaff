package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What programs ask of a disk's format costs few requests and few bytes, on a disk
// of 10 GiB as on any.
func TestInfoCostsLittle(t *testing.T) {
	w, s := newWire(t, services[0])
	dir := t.TempDir()
	raw := filepath.Join(dir, "raw")
	run(t, "truncate", "-s", "10G", raw)
	f, err := os.OpenFile(raw, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 1 << 30, 7 << 30, 10<<30 - 2<<20} {
		if _, err := f.WriteAt(noise(uint64(off>>20), 2<<20), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m := mountOn(t, s)
	for _, c := range []struct {
		name, format, qemu, options string
		requests                    int   // most, that of the lookup included
		bytes                       int64 // most
	}{
		// The header and the tables come in one request, what the kernel reads ahead in
		// others.
		{"info.qcow2", "qcow2", "qcow2", "", 6, 768 << 10},
		{"info.vdi", "vdi", "vdi", "", 6, 1 << 20},
		{"info.vhd", "vhd", "vpc", "", 6, 1 << 20},
		// QEMU itself reads a block table of 1 MiB.
		{"info.vhdx", "vhdx", "vhdx", "", 8, 2 << 20},
		// QEMU itself reads the first 1 MiB in one piece, the kernel goes on to 2.5 MiB, and
		// we then begin as for any sequential reader.
		{"info.vmdk", "vmdk", "vmdk", "", 12, 6 << 20},
		{"info-stream.vmdk", "vmdk", "vmdk", "subformat=streamOptimized", 12, 6 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := filepath.Join(dir, c.name)
			args := []string{"convert", "-f", "raw", "-O", c.qemu}
			if c.options != "" {
				args = append(args, "-o", c.options)
			}
			run(t, "qemu-img", append(args, raw, local)...)
			data, err := os.ReadFile(local)
			if err != nil {
				t.Fatal(err)
			}
			s.upload(t, image.New{Name: c.name, DiskFormat: c.format, ContainerFormat: "bare"}, data)
			w.exchanges()
			got := run(t, "qemu-img", "info", m.path(c.name))
			seen := w.exchanges()
			moved := int64(0)
			for _, e := range seen {
				t.Logf("%s %s: %d bytes", e.what, e.span, e.bytes)
				moved += e.bytes
			}
			t.Logf("qemu-img info: %d requests, %d bytes", len(seen), moved)
			if len(seen) > c.requests || moved > c.bytes {
				t.Errorf("%d requests and %d bytes, want at most %d and %d", len(seen), moved, c.requests, c.bytes)
			}
			if !strings.Contains(got, "virtual size: 10 GiB") {
				t.Errorf("qemu-img info says %s", got)
			}
		})
	}
}
