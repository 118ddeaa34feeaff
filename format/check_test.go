package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/format"
)

// over returns a qcow2 or vmdk over a backing file.
func over(t *testing.T, disk string) []byte {
	t.Helper()
	dir := t.TempDir()
	base, path := filepath.Join(dir, "base"), filepath.Join(dir, "disk")
	run(t, "qemu-img", "create", "-q", "-f", disk, base, "3M")
	run(t, "qemu-img", "create", "-q", "-f", disk, "-b", base, "-F", disk, path)
	return read(t, path)
}

// external returns a qcow2 whose data are in another file.
func external(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data"), path, "3M")
	return read(t, path)
}

// luks returns an encrypted qcow2, which is whole by itself.
func luks(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	run(t, "qemu-img", "create", "-q", "--object", "secret,id=s,data=abc", "-f", "qcow2",
		"-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", path, "1M")
	return read(t, path)
}

// packed returns the bytes that a compressor made.
func packed(t *testing.T, tool string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, zeros(1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	out := path + ".out"
	run(t, "sh", "-c", `"$1" -c "$2" >"$3"`, "sh", tool, path, out)
	return read(t, out)
}

// replaced returns the image with one text of its descriptor exchanged for
// another of the same length.
func replaced(t *testing.T, image []byte, from, to string) []byte {
	t.Helper()
	if len(from) != len(to) || bytes.Count(image, []byte(from)) != 1 {
		t.Fatalf("cannot replace %q by %q", from, to)
	}
	return bytes.Replace(image, []byte(from), []byte(to), 1)
}

func TestCheck(t *testing.T) {
	qcow2 := made(t, "-f", "qcow2")
	old := made(t, "-f", "qcow2", "-o", "compat=0.10")
	sparse := made(t, "-f", "vmdk", "-o", "subformat=monolithicSparse")
	stream := made(t, "-f", "vmdk", "-o", "subformat=streamOptimized")
	ext := external(t)
	// qemu-img 7 repeats the file's name in an extension: without the feature bit
	// the extension alone must tell.
	extNoBit := changed(ext, 72, 0, 0, 0, 0, 0, 0, 0, 0)
	atEnd := binary.LittleEndian.AppendUint64(nil, ^uint64(0))
	footer := append(changed(sparse, 56, atEnd...), changed(sparse[:512], 28, 0)...)
	footer = append(footer, zeros(512)...)

	for name, c := range map[string]struct {
		content         []byte
		disk, container string
		refused         string // a part of the reason; "" when accepted
	}{
		"qcow2":                      {qcow2, "qcow2", "bare", ""},
		"qcow2 version 2":            {old, "qcow2", "bare", ""},
		"qcow2 with luks":            {luks(t), "qcow2", "bare", ""},
		"qcow2 with small clusters":  {made(t, "-f", "qcow2", "-o", "cluster_size=512"), "qcow2", "bare", ""},
		"qcow2 with big clusters":    {made(t, "-f", "qcow2", "-o", "cluster_size=2M"), "qcow2", "bare", ""},
		"qcow2 with zstd clusters":   {made(t, "-f", "qcow2", "-o", "compression_type=zstd"), "qcow2", "bare", ""},
		"qcow2 over another":         {over(t, "qcow2"), "qcow2", "bare", "backing file"},
		"qcow2 with external data":   {ext, "qcow2", "bare", "another file"},
		"that, without the bit":      {extNoBit, "qcow2", "bare", "another file"},
		"the same, called raw":       {ext, "raw", "bare", ""},
		"the same, compressed":       {ext, "qcow2", "compressed", "another file"},
		"raw, called qcow2":          {zeros(4096), "qcow2", "bare", ""},
		"qcow2 cut in its header":    {qcow2[:80], "qcow2", "bare", "cut short"},
		"qcow2 cut in extensions":    {qcow2[:114], "qcow2", "bare", "extensions"},
		"qcow2, absurd clusters":     {changed(qcow2, 20, 0, 0, 0, 63), "qcow2", "bare", "cluster size"},
		"qcow2, absurd header":       {changed(qcow2, 100, 0xff, 0xff, 0xff, 0xff), "qcow2", "bare", "length"},
		"qcow2, header in header":    {changed(qcow2, 100, 0, 0, 0, 8), "qcow2", "bare", "length"},
		"qcow2, endless extensions":  {append(changed(old, 72, bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0}, 1100)...), 1), "qcow2", "bare", "extensions"},
		"qcow2, absurd extension":    {changed(qcow2, 112, 1, 1, 1, 1, 0xff, 0xff, 0xff, 0xff), "qcow2", "bare", ""},
		"vmdk monolithicSparse":      {sparse, "vmdk", "bare", ""},
		"vmdk streamOptimized":       {stream, "vmdk", "bare", ""},
		"vmdk with a footer":         {footer, "vmdk", "bare", ""},
		"vmdk without its footer":    {changed(sparse, 56, atEnd...), "vmdk", "bare", "footer"},
		"vmdk without a descriptor":  {changed(sparse[:512], 28, 0, 0, 0, 0, 0, 0, 0, 0), "vmdk", "bare", ""},
		"vmdk monolithicFlat":        {made(t, "-f", "vmdk", "-o", "subformat=monolithicFlat"), "vmdk", "bare", "other files"},
		"vmdk twoGbMaxExtentSparse":  {made(t, "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"), "vmdk", "bare", "other files"},
		"vmdk twoGbMaxExtentFlat":    {made(t, "-f", "vmdk", "-o", "subformat=twoGbMaxExtentFlat"), "vmdk", "bare", "other files"},
		"vmdk over another":          {over(t, "vmdk"), "vmdk", "bare", "parent"},
		"vmdk with a parent's CID":   {replaced(t, sparse, "ffffffff", "12345678"), "vmdk", "bare", "parent"},
		"vmdk with a hidden parent":  {replaced(t, sparse, "# Extent description", "#parentFileNameHint="), "vmdk", "bare", "parent"},
		"vmdk with a flat extent":    {replaced(t, sparse, "SPARSE ", "FLAT  \""), "vmdk", "bare", "extents"},
		"vmdk with two extents":      {replaced(t, sparse, "# The Disk Data Base", "RW 9999 SPARSE \"xyz\""), "vmdk", "bare", "extents"},
		"vmdk of an external type":   {replaced(t, sparse, "monolithicSparse", "partitioneDevice"), "vmdk", "bare", "type"},
		"vmdk of no capacity":        {changed(sparse, 12, 0, 0, 0, 0, 0, 0, 0, 0), "vmdk", "bare", "no data"},
		"vmdk, descriptor far away":  {changed(sparse, 28, atEnd...), "vmdk", "bare", "descriptor"},
		"vmdk, descriptor at an end": {append(changed(sparse, 28, byte(len(sparse)/512)), "# Disk DescriptorFile\nparentCID=00000001\n"...), "vmdk", "bare", "parent"},
		"raw, called vmdk":           {zeros(4096), "vmdk", "bare", ""},
		"raw":                        {zeros(4096), "raw", "bare", ""},
		"gzip":                       {packed(t, "gzip"), "raw", "bare", "gzip"},
		"gzip, formats unknown":      {packed(t, "gzip"), "", "", "gzip"},
		"gzip, announced":            {packed(t, "gzip"), "raw", "compressed", ""},
		"gzip, announced as qcow2":   {packed(t, "gzip"), "qcow2", "compressed", ""},
		"xz":                         {packed(t, "xz"), "raw", "bare", "xz"},
		"xz, announced":              {packed(t, "xz"), "raw", "compressed", ""},
		"zstd":                       {packed(t, "zstd"), "raw", "bare", "zstd"},
		"zstd, announced":            {packed(t, "zstd"), "raw", "compressed", ""},
		"two bytes of gzip":          {[]byte{0x1f, 0x8b}, "raw", "bare", ""},
		"gzip of no known method":    {[]byte{0x1f, 0x8b, 7, 0, 0}, "raw", "bare", ""},
		"nothing":                    {nil, "raw", "bare", ""},
		"nothing, called qcow2":      {nil, "qcow2", "bare", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := format.Check(bytes.NewReader(c.content), int64(len(c.content)), c.disk, c.container)
			var refused *format.Refused
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("Check = %v; want nil", err)
			case c.refused != "" && !errors.As(err, &refused):
				t.Errorf("Check = %v; want a refusal", err)
			case c.refused != "" && (!strings.Contains(refused.Reason, c.refused) || err.Error() != refused.Reason):
				t.Errorf("Check = %q; want a reason with %q", err, c.refused)
			}
		})
	}
}

// The content may end before the size says so: a file that is being cut while
// it is read.
func TestShorterThanItsSize(t *testing.T) {
	for _, disk := range []string{"qcow2", "vmdk", "raw"} {
		args := []string{"-f", disk}
		image := made(t, args...)
		for _, n := range []int{0, 3, 71, 100, 511, 512, 700, 33000} {
			r := bytes.NewReader(image[:min(n, len(image))])
			if _, err := format.Detect(r, 1<<40); err != nil {
				t.Errorf("%s cut to %d: Detect: %v", disk, n, err)
			}
			var refused *format.Refused
			if err := format.Check(r, 1<<40, disk, ""); err != nil && !errors.As(err, &refused) {
				t.Errorf("%s cut to %d: Check: %v", disk, n, err)
			}
		}
	}
}
