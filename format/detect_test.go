package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/format"
)

// run fails the test unless the command succeeds: the tools that make images are
// required, not optional.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// made returns an image that qemu-img made in the given way.
func made(t *testing.T, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	run(t, "qemu-img", append(append([]string{"create", "-q"}, args...), path, "3M")...)
	return read(t, path)
}

// madeISO returns an ISO 9660 image with one file.
func madeISO(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	content := filepath.Join(dir, "content")
	if err := os.MkdirAll(content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(content, "README"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "disk.iso")
	run(t, "xorriso", "-as", "mkisofs", "-quiet", "-o", path, content)
	return read(t, path)
}

// mbr puts a partition table into the first sector, as isohybrid does.
func mbr(image []byte) []byte {
	image = bytes.Clone(image)
	copy(image[446:], []byte{0x80, 0, 1, 0, 0x17, 0, 1, 0})
	copy(image[510:], []byte{0x55, 0xaa})
	return image
}

// changed returns a copy of image with the bytes at off replaced.
func changed(image []byte, off int, p ...byte) []byte {
	image = bytes.Clone(image)
	copy(image[off:], p)
	return image
}

// zeros is a raw disk of n bytes.
func zeros(n int) []byte { return make([]byte, n) }

func TestDetect(t *testing.T) {
	iso := madeISO(t)
	qcow2 := made(t, "-f", "qcow2")
	dynamicVHD := made(t, "-f", "vpc", "-o", "subformat=dynamic")
	fixedVHD := made(t, "-f", "vpc", "-o", "subformat=fixed")
	vdi := made(t, "-f", "vdi")
	vhdx := made(t, "-f", "vhdx")
	sparse := made(t, "-f", "vmdk", "-o", "subformat=monolithicSparse")

	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"qcow2":                         {qcow2, format.QCOW2},
		"qcow2 version 2":               {made(t, "-f", "qcow2", "-o", "compat=0.10"), format.QCOW2},
		"vmdk monolithicSparse":         {sparse, format.VMDK},
		"vmdk streamOptimized":          {made(t, "-f", "vmdk", "-o", "subformat=streamOptimized"), format.VMDK},
		"vmdk descriptor":               {made(t, "-f", "vmdk", "-o", "subformat=monolithicFlat"), format.VMDK},
		"vmdk descriptor after a blank": {[]byte("\r\n# Disk DescriptorFile\r\nversion=1\r\n"), format.VMDK},
		"vdi":                           {vdi, format.VDI},
		"vhdx":                          {vhdx, format.VHDX},
		"vhdx with one header":          {changed(vhdx, 64<<10, 0, 0, 0, 0), format.VHDX},
		"vhd dynamic":                   {dynamicVHD, format.VHD},
		"vhd fixed":                     {fixedVHD, format.VHD},
		"iso":                           {iso, format.ISO},
		"hybrid iso":                    {mbr(iso), format.ISO},
		"raw":                           {made(t, "-f", "raw"), format.Raw},
		"raw with a partition table":    {mbr(zeros(1 << 20)), format.Raw},
		"nothing":                       {nil, format.Raw},
		"one byte":                      {[]byte{'Q'}, format.Raw},

		// Signatures without the rest.
		"qcow 1":                      {changed(qcow2, 4, 0, 0, 0, 1), format.Raw},
		"qcow2 of a version unknown":  {changed(qcow2, 4, 0, 0, 0, 9), format.Raw},
		"qcow2 cut in its header":     {qcow2[:60], format.Raw},
		"vmdk of a version unknown":   {changed(sparse, 4, 77), format.Raw},
		"vmdk cut in its header":      {sparse[:300], format.Raw},
		"vdi of a version unknown":    {changed(vdi, 0x44, 9), format.Raw},
		"vhdx without headers":        {changed(changed(vhdx, 64<<10, 0), 128<<10, 0), format.Raw},
		"vhd of a type unknown":       {changed(dynamicVHD[:1024], 60, 0, 0, 0, 7), format.Raw},
		"fixed vhd, wrong checksum":   {changed(fixedVHD, len(fixedVHD)-512+64, 1, 2, 3, 4), format.Raw},
		"fixed vhd, cut at the front": {fixedVHD[len(fixedVHD)-1024:], format.Raw},
		"the word conectix at an end": {append(zeros(4096), append([]byte("conectix"), zeros(504)...)...), format.Raw},
		"iso of a version unknown":    {changed(iso, 32774, 9), format.Raw},
		"CD001 in the wrong place":    {append(zeros(512), iso...), format.Raw},
		"iso cut in its descriptor":   {iso[:33000], format.Raw},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.Detect(bytes.NewReader(c.content), int64(len(c.content)))
			if err != nil || got != c.want {
				t.Errorf("Detect = %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// What qemu-img converts from a disk with data is of the format asked for, too:
// the metadata lie elsewhere than in an empty image.
func TestDetectConverted(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	p := zeros(1 << 20)
	for i := range p {
		p[i] = byte(i * 7)
	}
	if err := os.WriteFile(source, p, 0o600); err != nil {
		t.Fatal(err)
	}
	for qemu, want := range map[string]string{
		"qcow2": format.QCOW2, "vmdk": format.VMDK, "vdi": format.VDI, "vhdx": format.VHDX, "vpc": format.VHD, "raw": format.Raw,
	} {
		path := filepath.Join(dir, qemu)
		run(t, "qemu-img", "convert", "-f", "raw", "-O", qemu, source, path)
		image := read(t, path)
		got, err := format.Detect(bytes.NewReader(image), int64(len(image)))
		if err != nil || got != want {
			t.Errorf("%s: Detect = %q, %v; want %q", qemu, got, err, want)
		}
		if err := format.Check(bytes.NewReader(image), int64(len(image)), want, "bare"); err != nil {
			t.Errorf("%s: Check = %v; want nil", qemu, err)
		}
	}
}

var errDisk = errors.New("the disk failed")

// failing fails every read that touches the byte at.
type failing struct {
	*bytes.Reader
	at int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		return 0, errDisk
	}
	return f.Reader.ReadAt(p, off)
}

// A failed read is reported: it must never turn into "raw" or "harmless".
func TestReadErrors(t *testing.T) {
	raw := zeros(1 << 20)
	for _, at := range []int64{0, 32769, int64(len(raw)) - 1} {
		if _, err := format.Detect(failing{bytes.NewReader(raw), at}, int64(len(raw))); !errors.Is(err, errDisk) {
			t.Errorf("Detect with byte %d unreadable: %v", at, err)
		}
	}
	vhdx := changed(raw, 0, []byte("vhdxfile")...)
	if _, err := format.Detect(failing{bytes.NewReader(vhdx), 64 << 10}, int64(len(vhdx))); !errors.Is(err, errDisk) {
		t.Errorf("Detect with the vhdx header unreadable: %v", err)
	}

	qcow2, vmdk := made(t, "-f", "qcow2"), made(t, "-f", "vmdk")
	atEnd := binary.LittleEndian.AppendUint64(nil, ^uint64(0))
	for _, c := range []struct {
		disk, container string
		image           []byte
		at              int64
	}{
		{format.Raw, "bare", raw, 0},
		{format.QCOW2, "compressed", qcow2, 100},
		{format.QCOW2, "compressed", changed(qcow2, 112, 0, 0, 0, 1, 0, 0, 4, 0), 112 + 8 + 1024},
		{format.VMDK, "compressed", vmdk, 20},
		{format.VMDK, "compressed", vmdk, 600},
		{format.VMDK, "compressed", changed(vmdk, 56, atEnd...), int64(len(vmdk)) - 700},
	} {
		err := format.Check(failing{bytes.NewReader(c.image), c.at}, int64(len(c.image)), c.disk, c.container)
		if !errors.Is(err, errDisk) {
			t.Errorf("Check of a %s with byte %d unreadable: %v", c.disk, c.at, err)
		}
	}
}
