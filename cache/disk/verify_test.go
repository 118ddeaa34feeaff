package disk

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// pinned returns the bytes of a pinned image and releases it; nil when it cannot
// be pinned.
func pinned(t tester, i *Image) []byte {
	t.Helper()
	f, release, ok := i.Pin()
	if !ok {
		if f != nil || release != nil {
			t.Fatal("something was pinned, and is not")
		}
		return nil
	}
	defer release()
	data, err := io.ReadAll(f)
	must(t, err)
	return data
}

func TestMatch(t *testing.T) {
	o := options(t.TempDir())
	o.OnMismatch = func(k image.Key) { t.Errorf("%+v does not match", k) }
	s := openStore(t, o, nil)
	p := draw(1, 20*unit+1)
	i := p.in(s)
	p.write(i, 1, 21)
	settle(t, s)
	if pinned(t, i) != nil || s.Stats().Verified != 0 {
		t.Fatal("an image is verified that is not complete")
	}
	p.write(i, 0, 1)
	settle(t, s)
	if !bytes.Equal(pinned(t, i), p.bytes) || s.Stats().Verified != 1 || i.Bad() {
		t.Fatalf("not verified: %+v", s.Stats())
	}
	i.Close()
	must(t, s.Close())

	// A restart trusts what was found, without another look.
	s = openStore(t, o, nil)
	i = p.in(s)
	if got := s.Stats(); got.Queued != 0 || !bytes.Equal(pinned(t, i), p.bytes) {
		t.Fatalf("not trusted: %+v", got)
	}
	settle(t, s)
	if s.Stats().Verified != 0 {
		t.Error("verified twice")
	}
	i.Close()
	must(t, s.Close())

	// Unless somebody touched the file.
	must(t, os.Chtimes(path(o, p, dataSuffix), time.Now(), time.Now()))
	s = openStore(t, o, nil)
	i = p.in(s)
	if pinned(t, i) != nil {
		t.Fatal("a file that was touched is trusted")
	}
	settle(t, s)
	if !bytes.Equal(pinned(t, i), p.bytes) {
		t.Fatal("not verified again")
	}
	i.Close()
}

// Complete, and not verified before the end: the next run does it.
func TestVerifiedAfterRestart(t *testing.T) {
	o := options(t.TempDir())
	s := openStore(t, o, nil)
	p := draw(1, 5*unit)
	i := p.in(s)
	p.write(i, 0, 5)
	settle(t, s)
	i.Close()
	must(t, s.Close())
	// As it was before the verdict.
	h := &header{BlockSize: unit, Service: service, ID: p.img.ID, Version: p.key().Version, Size: p.img.Size, Hash: p.img.Digest()}
	head, err := h.encode()
	must(t, err)
	index := path(o, p, indexSuffix)
	data, err := os.ReadFile(index)
	must(t, err)
	must(t, os.WriteFile(index, append(head, data[headerSize:]...), 0o600))
	s = openStore(t, o, nil)
	settle(t, s)
	i = p.in(s)
	defer i.Close()
	if got := s.Stats(); got.Verified != 1 || pinned(t, i) == nil {
		t.Errorf("%+v", got)
	}
}

func TestMismatch(t *testing.T) {
	var log journal
	o := options(t.TempDir())
	o.Logger = log.logger()
	var mu sync.Mutex
	var keys []image.Key
	o.OnMismatch = func(k image.Key) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, k)
	}
	s := openStore(t, o, nil)
	p := draw(1, 7*unit)
	p.img.HashValue = strings.Repeat("0", 64)
	a, b := p.in(s), p.in(s)
	p.write(a, 0, 7)
	settle(t, s)
	mu.Lock()
	if len(keys) != 1 || keys[0] != p.key() {
		t.Errorf("told of %v", keys)
	}
	mu.Unlock()
	if log.count("level=ERROR") != 1 || log.count(p.img.ID) != 1 {
		t.Errorf("the log has %s", log.text.String())
	}
	for _, i := range []*Image{a, b} {
		if !i.Bad() {
			t.Error("not bad")
		}
		p.write(i, 0, 7)
		p.want(t, i, 0)
	}
	if got := s.Stats(); got.Mismatched != 1 || got.Bytes != 0 || got.Blocks != 0 {
		t.Errorf("%+v", got)
	}
	// Who comes later begins anew, whoever still has a reference.
	a.Close()
	a = p.in(s)
	if a.Bad() || !b.Bad() {
		t.Error("bad for somebody who comes later, or not any more for who has it open")
	}
	p.write(a, 0, 6)
	p.write(b, 6, 7)
	p.want(t, a, 6)
	p.want(t, b, 0)
	b.Close()
	p.write(a, 6, 7)
	a.Close()
	settle(t, s)
	a = p.in(s)
	defer a.Close()
	p.want(t, a, 0)
	if a.Bad() {
		t.Error("bad for somebody who comes later")
	}
}

func TestWithoutHash(t *testing.T) {
	s := openStore(t, options(t.TempDir()), nil)
	p := draw(1, 3*unit)
	p.img.HashAlgo, p.img.HashValue = "sm3", strings.Repeat("0", 64)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 3)
	settle(t, s)
	p.want(t, i, 3)
	if pinned(t, i) != nil || i.Bad() {
		t.Error("an image whose hash cannot be computed has a verdict")
	}
}

// A block that is found damaged on the way is dropped; there is no verdict on the
// image until it came again.
func TestDamageUnderVerification(t *testing.T) {
	var log journal
	o := options(t.TempDir())
	o.Logger = log.logger()
	s := openStore(t, o, nil)
	p := draw(1, 9*unit)
	i := p.in(s)
	defer i.Close()
	p.write(i, 0, 8)
	flip(t, path(o, p, dataSuffix), 4*unit)
	p.write(i, 8, 9)
	settle(t, s)
	if i.Has(4) || i.Bad() || pinned(t, i) != nil || log.count("damaged; fetched again") != 1 {
		t.Fatalf("%+v: %s", s.Stats(), log.text.String())
	}
	p.write(i, 4, 5)
	settle(t, s)
	if !bytes.Equal(pinned(t, i), p.bytes) {
		t.Error("not verified after the damage was repaired")
	}
}

// A verdict on blocks that are not the same any more counts for nothing.
func TestChangesUnderVerification(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *Store, p picture, i *Image)
		counts bool
	}{
		"none":            {func(*Store, picture, *Image) {}, true},
		"closed":          {func(_ *Store, _ picture, i *Image) { i.Close() }, true},
		"evicted":         {func(s *Store, _ picture, _ *Image) { s.shrink() }, false},
		"dropped":         {func(_ *Store, _ picture, i *Image) { i.Drop() }, false},
		"dropped, anew":   {func(s *Store, p picture, i *Image) { i.Drop(); j := p.in(s); p.write(j, 0, 30); j.Close() }, false},
		"evicted, anew":   {func(s *Store, p picture, i *Image) { s.shrink(); p.write(i, 0, 30) }, false},
		"files were lost": {func(_ *Store, _ picture, i *Image) { must(t, i.of.removeFiles()) }, false},
	} {
		for _, right := range []bool{true, false} {
			o := options(t.TempDir())
			o.Limit = 320 * unit
			told := false
			o.OnMismatch = func(image.Key) { told = true }
			s := openStore(t, o, newFakeDisk())
			p := draw(1, 30*unit)
			p.img.HashValue = "" // so that nobody else verifies it
			i := p.in(s)
			p.write(i, 0, 30)
			f, removals := i.of.beginVerify()
			if f == nil {
				t.Fatal("nothing to verify")
			}
			c.change(s, p, i)
			k := p.in(s)
			before := p.read(t, k)
			k.Close()
			if right {
				i.of.match(f, removals)
			} else {
				i.of.mismatch(removals)
			}
			must(t, f.Close())
			j := p.in(s)
			switch {
			case right && (pinned(t, j) != nil) != c.counts:
				t.Errorf("%s: a match counts: %v", name, !c.counts)
			case !right && told != c.counts && name != "files were lost":
				t.Errorf("%s: a mismatch counts: %v", name, !c.counts)
			case strings.Contains(name, "anew") && (before != 30 || p.read(t, j) != 30):
				t.Errorf("%s: blocks that came anew are lost", name)
			}
			j.Close()
			i.Close()
		}
	}
}

// No verdict is noted before the bytes are on the disk.
func TestVerdictAfterSync(t *testing.T) {
	d := newFakeDisk()
	o := options(t.TempDir())
	s := openStore(t, o, d)
	p := draw(1, 5*unit)
	i := p.in(s)
	defer i.Close()
	d.sync = func() error {
		head, err := os.ReadFile(path(o, p, indexSuffix))
		if err == nil {
			if h, err := decode(head[:headerSize]); err != nil || h.Verified != nil {
				t.Errorf("before the bytes are on the disk the header says %+v, %v", h, err)
			}
		}
		return unix.EIO
	}
	p.write(i, 0, 5)
	settle(t, s)
	if pinned(t, i) != nil || s.Stats().Verified != 0 {
		t.Error("verified though the bytes may not be on the disk")
	}
}

// Close does not wait for a hash to be finished.
func TestCloseEndsVerification(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	d := newFakeDisk()
	o := options(t.TempDir())
	s := openStore(t, o, d)
	first := draw(1, unit)
	first.img.HashValue = strings.Repeat("0", 64)
	s.onMismatch = func(image.Key) { close(reached); <-release }
	i := first.in(s)
	defer i.Close()
	first.write(i, 0, 1)
	<-reached
	p := draw(2, 100*unit)
	j := p.in(s)
	defer j.Close()
	p.write(j, 0, 100)
	closing, cancel := make(chan struct{}), s.cancel
	s.cancel = func() { cancel(); close(closing) }
	done := make(chan error)
	go func() { done <- s.Close() }()
	<-closing
	close(release)
	must(t, <-done)
	if s.Stats().Verified != 0 {
		t.Error("verified after Close had begun")
	}
}
