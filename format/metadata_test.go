package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/imagefs/imagefs/format"
)

// create makes an image of 10 GiB in the given way and returns its path.
func create(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	run(t, "qemu-img", append(append([]string{"create", "-q"}, args...), path, "10G")...)
	return path
}

// opened opens an image for the time of the test.
func opened(t *testing.T, path string) (*os.File, int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

// info is what qemu-img says of a file in a directory of its own.
func info(t *testing.T, path, as string) string {
	t.Helper()
	cmd := exec.Command("qemu-img", "info", "-f", as, filepath.Base(path))
	cmd.Dir = filepath.Dir(path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img info: %v\n%s", err, out)
	}
	var kept []byte
	for line := range bytes.Lines(out) {
		if !bytes.HasPrefix(line, []byte("disk size")) { // of the file, holes not counted
			kept = append(kept, line...)
		}
	}
	return string(kept)
}

// A file that has only the header and what Metadata names answers qemu-img info as
// the whole image does: nothing is missing that it reads.
func TestMetadataIsAllThatInfoReads(t *testing.T) {
	bitmaps := create(t, "-f", "qcow2")
	run(t, "qemu-img", "snapshot", "-c", "first", bitmaps)
	run(t, "qemu-img", "snapshot", "-c", "second", bitmaps)
	run(t, "qemu-img", "bitmap", "--add", bitmaps, "some")
	for name, c := range map[string]struct{ path, as string }{
		"qcow2":                        {create(t, "-f", "qcow2"), "qcow2"},
		"qcow2 version 2":              {create(t, "-f", "qcow2", "-o", "compat=0.10"), "qcow2"},
		"qcow2 with small clusters":    {create(t, "-f", "qcow2", "-o", "cluster_size=512"), "qcow2"},
		"qcow2 with large clusters":    {create(t, "-f", "qcow2", "-o", "cluster_size=1M"), "qcow2"},
		"qcow2 with all tables":        {create(t, "-f", "qcow2", "-o", "preallocation=metadata"), "qcow2"},
		"qcow2 with snapshots, bitmap": {bitmaps, "qcow2"},
		"vmdk":                         {create(t, "-f", "vmdk"), "vmdk"},
		"vmdk streamOptimized":         {create(t, "-f", "vmdk", "-o", "subformat=streamOptimized"), "vmdk"},
		"vmdk with its tables behind":  {atEnd(t), "vmdk"},
		"vhd":                          {create(t, "-f", "vpc"), "vpc"},
		"vhdx":                         {create(t, "-f", "vhdx"), "vhdx"},
		"vdi":                          {create(t, "-f", "vdi"), "vdi"},
	} {
		t.Run(name, func(t *testing.T) {
			whole, size := opened(t, c.path)
			want := info(t, c.path, c.as)
			spans, err := format.Metadata(whole, size)
			if err != nil || len(spans) == 0 {
				t.Fatalf("Metadata = %v, %v", spans, err)
			}
			part := filepath.Join(t.TempDir(), "disk")
			f, err := os.Create(part)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range append(spans, format.Span{Len: 4096}) {
				if _, err := io.Copy(io.NewOffsetWriter(f, s.Off), io.NewSectionReader(whole, s.Off, s.Len)); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if got := info(t, part, c.as); got != want {
				t.Errorf("with %v alone qemu-img info says\n%swant\n%s", spans, got, want)
			}
		})
	}
}

// atEnd makes a streamOptimized VMDK whose header sends readers to a footer, and
// whose directories are at the end, as VMware writes it.
func atEnd(t *testing.T) string {
	t.Helper()
	path := create(t, "-f", "vmdk", "-o", "subformat=streamOptimized")
	p := read(t, path)
	directory := binary.LittleEndian.Uint64(p[56:]) * 512
	length := 10 << 30 / (512 * 128 * 512) * 4
	moved := bytes.Clone(p[directory : int(directory)+length])
	clear(p[directory : int(directory)+length])
	for len(p)%(1<<20) != 0 { // far from what else is read
		p = append(p, make([]byte, 512)...)
	}
	footer := bytes.Clone(p[:512])
	binary.LittleEndian.PutUint64(footer[56:], uint64(len(p)/512))
	binary.LittleEndian.PutUint64(p[56:], math.MaxUint64)
	p = append(p, moved...)
	p = append(p, make([]byte, (512-len(p)%512)%512)...)
	marker := make([]byte, 512)
	binary.LittleEndian.PutUint64(marker, 1) // sectors of the footer
	binary.LittleEndian.PutUint32(marker[12:], 3)
	p = append(append(append(p, marker...), footer...), make([]byte, 512)...)
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Where the usual writers put the tables, they come with the first read already.
func TestOpeningHasTheTables(t *testing.T) {
	for name, c := range map[string]struct {
		path, disk string
		header     int // tables, the most urgent first, that Opening has
	}{
		"qcow2":                 {create(t, "-f", "qcow2"), format.QCOW2, 2},
		"qcow2 version 2":       {create(t, "-f", "qcow2", "-o", "compat=0.10"), format.QCOW2, 2},
		"qcow2 with all tables": {create(t, "-f", "qcow2", "-o", "preallocation=metadata"), format.QCOW2, 2},
		"vhd":                   {create(t, "-f", "vpc"), format.VHD, 1},
		"vhdx":                  {create(t, "-f", "vhdx"), format.VHDX, 3},
		"vdi":                   {create(t, "-f", "vdi"), format.VDI, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, size := opened(t, c.path)
			spans, err := format.Metadata(f, size)
			if err != nil || len(spans) < c.header {
				t.Fatalf("Metadata = %v, %v", spans, err)
			}
			opening := format.Opening(c.disk, size)
			for _, s := range spans[:c.header] {
				if !slices.ContainsFunc(opening, func(o format.Span) bool { return o.Off <= s.Off && s.Off+s.Len <= o.Off+o.Len }) {
					t.Errorf("%v does not have %v", opening, s)
				}
			}
		})
	}
	fixed := made(t, "-f", "vpc", "-o", "subformat=fixed")
	opening := format.Opening(format.VHD, int64(len(fixed)))
	if want := (format.Span{Off: int64(len(fixed)) - 512, Len: 512}); !slices.Contains(opening, want) {
		t.Errorf("%v does not have the footer %v", opening, want)
	}
	for _, disk := range []string{format.Raw, format.ISO, "", "ploop"} {
		if got := format.Opening(disk, 1<<30); got != nil {
			t.Errorf("%s: %v", disk, got)
		}
	}
}

// What a header says goes no further than the image and 1 MiB, and what is no
// image of a known format says nothing.
func TestMetadataOfHostileHeaders(t *testing.T) {
	qcow2, vhd := made(t, "-f", "qcow2"), made(t, "-f", "vpc")
	vmdk, vdi := made(t, "-f", "vmdk"), made(t, "-f", "vdi")
	ones := bytes.Repeat([]byte{0xff}, 8)
	for name, c := range map[string]struct {
		image []byte
		size  int64
		want  []format.Span
	}{
		"nothing":                        {nil, 0, nil},
		"raw":                            {zeros(1 << 20), 1 << 20, nil},
		"qcow2, cluster size":            {changed(qcow2, 20, ones[:4]...), 1 << 30, nil},
		"qcow2, tables behind the end":   {changed(changed(qcow2, 40, ones...), 48, ones...), 1 << 30, nil},
		"qcow2, endless L1 table":        {changed(changed(qcow2, 36, ones[:4]...), 56, 0, 0, 0, 0), 1 << 30, []format.Span{{Off: 192 << 10, Len: 1 << 20}}},
		"qcow2, L1 table over the end":   {changed(changed(qcow2, 36, ones[:4]...), 56, 0, 0, 0, 0), 200 << 10, []format.Span{{Off: 192 << 10, Len: 8 << 10}}},
		"qcow2, header length":           {changed(qcow2, 100, ones[:4]...), 192 << 10, []format.Span{{Off: 64 << 10, Len: 64 << 10}}},
		"vmdk, directory beyond 64 bits": {changed(changed(vmdk, 56, 0, 0, 0, 0, 0, 0, 0, 0x80), 48, ones...), 1 << 30, []format.Span{{Len: 1 << 20}}},
		"vmdk, no grains":                {changed(vmdk, 20, zeros(8)...), 1 << 30, []format.Span{{Len: 1 << 20}}},
		"vmdk, endless":                  {changed(changed(vmdk, 12, ones...), 48, ones...), 1 << 20, []format.Span{{Off: 26 * 512, Len: 1<<20 - 26*512}, {Len: 1 << 20}}},
		"vmdk, footer in a tiny file":    {changed(vmdk[:1024], 56, ones...), 1024, nil},
		"vhd, header behind the end":     {changed(vhd, 16, ones...), 1 << 20, []format.Span{{Off: 1<<20 - 512, Len: 512}}},
		"vhd, endless table":             {changed(vhd, 512+28, ones[:4]...), 1 << 30, []format.Span{{Off: 512, Len: 1024}, {Off: 1536, Len: 1 << 20}, {Off: 1<<30 - 512, Len: 512}}},
		"vhd, no header":                 {changed(vhd, 512, zeros(8)...), 1 << 20, []format.Span{{Off: 512, Len: 1024}, {Off: 1<<20 - 512, Len: 512}}},
		"vdi, map behind the end":        {changed(vdi, 0x154, ones[:4]...), 1 << 20, nil},
		"vdi, endless map":               {changed(vdi, 0x180, ones[:4]...), 1 << 30, []format.Span{{Off: 512, Len: 1 << 20}}},
		"vdi, cut":                       {vdi[:0x180], 1 << 20, nil},
		"vhdx, region table not there":   {append([]byte("vhdxfile"), zeros(4096)...), 1 << 30, []format.Span{{Off: 64 << 10, Len: 4096}, {Off: 128 << 10, Len: 4096}, {Off: 192 << 10, Len: 64 << 10}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.Metadata(bytes.NewReader(c.image), c.size)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("Metadata = %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// A failed read is reported.
func TestMetadataReadErrors(t *testing.T) {
	vmdk := made(t, "-f", "vmdk")
	for name, c := range map[string]struct {
		image []byte
		at    int64
	}{
		"header":           {made(t, "-f", "qcow2"), 0},
		"qcow2 extensions": {changed(made(t, "-f", "qcow2"), 112, 0, 0, 0, 1, 0, 0, 0x10, 0), 112 + 8 + 4096},
		"vmdk footer":      {changed(vmdk, 56, bytes.Repeat([]byte{0xff}, 8)...), int64(len(vmdk)) - 1000},
		"vhd header":       {append(changed(made(t, "-f", "vpc"), 16, 0, 0, 0, 0, 0, 0, 0x20, 0), zeros(0x2000)...), 0x2000},
		"vhdx regions":     {made(t, "-f", "vhdx"), 192 << 10},
	} {
		if _, err := format.Metadata(failing{bytes.NewReader(c.image), c.at}, int64(len(c.image))); !errors.Is(err, errDisk) {
			t.Errorf("%s unreadable: %v", name, err)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(nil), []byte(nil), int64(0), int64(0))
	f.Add([]byte("vhdxfile"), []byte("regi"), int64(192<<10), int64(4<<20))
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03"), bytes.Repeat([]byte{0xff}, 104), int64(8), int64(1<<40))
	f.Add([]byte("KDMV\x01\x00\x00\x00"), bytes.Repeat([]byte{0xff}, 504), int64(8), int64(math.MaxInt64))
	f.Add([]byte("conectix"), bytes.Repeat([]byte{0xff}, 504), int64(8), int64(1<<20))
	f.Fuzz(func(t *testing.T, head, more []byte, at, size int64) {
		spans, err := format.Metadata(sparse{head: head, more: more, at: at, size: size}, size)
		if err != nil || len(spans) > 8 {
			t.Fatalf("Metadata = %v, %v", spans, err)
		}
		for _, disk := range formats {
			spans = append(spans, format.Opening(disk, size)...)
		}
		for _, s := range spans {
			if s.Off < 0 || s.Len <= 0 || s.Len > 1<<20 || s.Off > size-s.Len {
				t.Errorf("%v is outside of %d bytes, or too long", s, size)
			}
		}
	})
}
