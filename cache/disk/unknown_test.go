package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// leftAlone makes an image of ten blocks, does something to its files that keeps this
// program from reading them, and makes sure that nothing is done to them: they are told of
// in one line, they count, and the image is served by nobody and not cached anew, also
// where that fills the cache, evicts or adopts.
func leftAlone(t *testing.T, do func(data, index string)) {
	t.Helper()
	var log journal
	o := options(t.TempDir())
	o.Limit = 30 * unit
	s := openStore(t, o, nil)
	p, other := draw(1, 10*unit), draw(2, 40*unit)
	i := p.in(s)
	p.write(i, 0, 10)
	i.Close()
	must(t, s.Close())
	data, index := path(o, p, dataSuffix), path(o, p, indexSuffix)
	do(data, index)
	before := [][]byte{readFile(t, data), readFile(t, index)}

	o.Logger = log.logger()
	for round := range 2 { // the next start finds them as this one did
		log.text.Reset()
		s = openStore(t, o, nil)
		if log.count("level=WARN") != 1 || log.count("file="+index) != 1 {
			t.Errorf("the log has %s", log.text.String())
		}
		if got := s.Stats(); got.Bytes < 10*unit || got.Bytes > o.Limit || round == 0 && (got.Blocks != 0 || got.Bytes > 10*unit+2*fileCharge) {
			t.Errorf("they count as %+v", got)
		}
		i = p.in(s)
		p.want(t, i, 0)
		p.write(i, 0, 10)
		p.want(t, i, 0)
		whole := filepath.Join(t.TempDir(), "whole")
		must(t, os.WriteFile(whole, p.bytes, 0o600))
		f, err := os.Open(whole)
		must(t, err)
		if _, err := i.Adopt(f); err == nil {
			t.Error("adopted over them")
		}
		must(t, f.Close())
		i.Drop()
		i.Close()
		j := other.in(s)
		other.write(j, 0, 40) // more than there is room for
		if n := other.read(t, j); n == 0 || n > 30 {
			t.Errorf("%d blocks of another image", n)
		}
		j.Close()
		must(t, s.Close())
		for n, file := range []string{data, index} {
			if !bytes.Equal(readFile(t, file), before[n]) {
				t.Errorf("%s was changed", file)
			}
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	must(t, err)
	return p
}

// Files of a format version that is not known may be worth something to the program that
// knows it.
func TestUnknownVersion(t *testing.T) {
	leftAlone(t, func(_, index string) {
		p := readFile(t, index)
		binary.LittleEndian.PutUint32(p[len(magic):], formatVersion+1)
		copy(p[textAt:], "a text of another kind") // nor need the checksum be where it was
		must(t, os.WriteFile(index, p, 0o600))
	})
}

// An error of the system says nothing against an image.
func TestStrange(t *testing.T) {
	for err, want := range map[error]bool{
		versionError(2): true, &os.PathError{Op: "read", Err: os.ErrPermission}: true,
		errSpoiled: false, errTooLong: false,
	} {
		if strange(err) != want {
			t.Errorf("%v", err)
		}
	}
}

// TestManyOfUnknownVersion: however many they are, one line of the log says so; and where
// they take the whole limit, it is they that the log says it of.
func TestManyOfUnknownVersion(t *testing.T) {
	var log journal
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	var images []picture
	for n := range 3 {
		p := draw(byte(n), 10*unit)
		images = append(images, p)
		i := p.in(s)
		p.write(i, 0, 10)
		i.Close()
	}
	must(t, s.Close())
	for _, p := range images {
		index := path(o, p, indexSuffix)
		b := readFile(t, index)
		binary.LittleEndian.PutUint32(b[len(magic):], formatVersion+1)
		must(t, os.WriteFile(index, b, 0o600))
	}
	o.Logger, o.Limit = log.logger(), 20*unit
	s = openStore(t, o, nil)
	if log.count("level=WARN") != 1 || log.count("images=3") != 1 || log.count(indexSuffix) != 1 {
		t.Errorf("the log has %s", log.text.String())
	}
	p := draw(9, unit)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 1)
	taken := s.Stats().Bytes
	if i.Has(0) || taken < 30*unit || log.count(fmt.Sprintf("limit=%d \"left alone\"=%d", o.Limit, taken)) != 1 || log.count("or left alone") != 1 {
		t.Errorf("%d bytes are taken; the log has %s", taken, log.text.String())
	}
}
