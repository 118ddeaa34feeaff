package disk

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// spoilFile changes bytes of a data file.
func spoilFile(t *testing.T, o Options, p picture, off int64) {
	t.Helper()
	f, err := os.OpenFile(path(o, p, dataSuffix), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("not the image's"), off)
	must(t, errors.Join(err, f.Close()))
}

// Every block is compared with its checksum, and a whole image with its hash, also where
// that was found right before; what is wrong goes.
func TestExamine(t *testing.T) {
	for _, tc := range []struct {
		name    string
		blocks  int64 // of 20 that are there
		do      func(t *testing.T, o Options, p picture)
		hash    string // of another image, where it is not ""
		want    Examined
		left    int64
		isWrong bool
	}{
		{"whole", 20, nil, "", Examined{Intact: 20, Hash: Right}, 20, false},
		{"part", 7, nil, "", Examined{Intact: 7}, 7, false},
		{"damaged", 20, func(t *testing.T, o Options, p picture) {
			spoilFile(t, o, p, 3*unit+5)
			spoilFile(t, o, p, 9*unit-5) // over two blocks
		}, "", Examined{Intact: 17, Damaged: 3}, 17, false},
		{"cut", 20, func(t *testing.T, o Options, p picture) { must(t, os.Truncate(path(o, p, dataSuffix), 5*unit)) },
			"", Examined{Intact: 5, Damaged: 1}, 0, false},
		{"gone", 20, func(t *testing.T, o Options, p picture) { must(t, os.Remove(path(o, p, dataSuffix))) }, "", Examined{Damaged: 1}, 0, false},
		{"no hash", 20, nil, "none", Examined{Intact: 20}, 20, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(t.TempDir())
			s := openStore(t, o, nil)
			p := draw(1, 19*unit+1)
			if tc.hash == "none" {
				p.img.HashAlgo, p.img.HashValue = "", ""
			}
			i := p.in(s)
			p.write(i, 0, tc.blocks)
			settle(t, s)
			if tc.name == "gone" {
				i.Close() // else the open file is whole
			} else {
				defer i.Close()
			}
			if tc.do != nil {
				tc.do(t, o, p)
			}
			var done, total int64
			got, err := s.Examine(t.Context(), p.key(), p.img.Size, func(d, n int64) {
				done, total = d, n
				if v := s.Verifying(); len(v) != 1 || v[0].Key != p.key() || v[0].Done != d || v[0].Total != n {
					t.Errorf("shown as %+v", v)
				}
			})
			must(t, err)
			if v := s.Verifying(); len(v) != 0 {
				t.Errorf("still shown as %+v", v)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if done > total || tc.do == nil && (done != total || total != s.Held(p.key(), p.img.Size)) {
				t.Errorf("told %d of %d", done, total)
			}
			j := p.in(s)
			defer j.Close()
			p.want(t, j, tc.left)
		})
	}
}

// Of files that were handed out it is told how many have wrong bytes, and whether they can
// be mended where they lie.
func TestExamineWhatIsHandedOut(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, o Options, p picture)
		want Examined
	}{
		{"intact", func(*testing.T, Options, picture) {}, Examined{Intact: 10, Hash: Right}},
		{"damaged", func(t *testing.T, o Options, p picture) { spoilFile(t, o, p, 3*unit) }, Examined{Intact: 9, Damaged: 1, Open: 2}},
		{"cut", func(t *testing.T, o Options, p picture) { must(t, os.Truncate(path(o, p, dataSuffix), 5*unit)) },
			Examined{Intact: 5, Damaged: 1, Lost: 2}},
	} {
		o := options(t.TempDir())
		s := openStore(t, o, nil)
		p, i := wholeImage(t, s, 1, 10)
		_, releaseA, _ := i.Pin()
		_, releaseB, _ := i.Pin()
		tc.do(t, o, p)
		got, err := s.Examine(t.Context(), p.key(), p.img.Size, func(int64, int64) {})
		must(t, err)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		releaseA()
		releaseB()
		i.Close()
	}
}

// A wrong hash drops the image and is told, by whoever finds it.
func TestExamineFindsWrongHash(t *testing.T) {
	o := options(t.TempDir())
	p := draw(1, 20*unit)
	s := openStore(t, o, nil)
	i := p.in(s)
	p.write(i, 0, 19)
	i.Close()
	must(t, s.Close())
	var told []image.Key
	o.OnMismatch = func(k image.Key) { told = append(told, k) }
	s, err := OpenIdle(o) // whose verifier does not come before
	must(t, err)
	defer s.Close()
	i = p.in(s)
	defer i.Close()
	i.Write(19, make([]byte, unit))
	got, err := s.Examine(t.Context(), p.key(), p.img.Size, func(int64, int64) {})
	must(t, err)
	if diff := cmp.Diff(Examined{Intact: 20, Hash: Wrong}, got); diff != "" || len(told) != 1 || !i.Bad() {
		t.Errorf("%s, told %v", diff, told)
	}
	if list := s.List(); len(list) != 0 {
		t.Errorf("%+v is left", list)
	}
}

// What was not verified before is by then; an end of the context is one.
func TestExamineVerifies(t *testing.T) {
	o := options(t.TempDir())
	p := draw(1, 20*unit)
	s := openStore(t, o, nil)
	i := p.in(s)
	p.write(i, 0, 20)
	settle(t, s)
	i.Close()
	must(t, s.Close())
	must(t, os.Chtimes(path(o, p, dataSuffix), time.Now(), time.Now())) // so that it must be verified again
	s, err := OpenIdle(o)
	must(t, err)
	defer s.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Examine(ended, p.key(), p.img.Size, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if got, err := s.Examine(t.Context(), p.key(), p.img.Size, func(int64, int64) {}); err != nil || got.Hash != Right {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if n := s.Stats().Verified; n != 1 {
		t.Errorf("%d images were verified", n)
	}
	i = p.in(s)
	defer i.Close()
	if pinned(t, i) == nil {
		t.Error("it cannot be pinned")
	}
}

// An image is looked at as far as it is there, however large its record says that it is.
func TestExamineHugeImage(t *testing.T) {
	s := openStore(t, options(t.TempDir()), nil)
	p := draw(1, unit)
	p.img.Size = 1 << 43 // less than any filesystem's largest
	i := p.in(s)
	defer i.Close()
	last := p.blocks() - 1
	i.Write(0, p.bytes)
	i.Write(last, p.bytes)
	got, err := s.Examine(t.Context(), p.key(), p.img.Size, func(int64, int64) {})
	must(t, err)
	if diff := cmp.Diff(Examined{Intact: 2}, got); diff != "" {
		t.Error(diff)
	}
}
