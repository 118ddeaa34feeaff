package prefetch

import (
	"context"
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

// engineOnDisk is an engine whose cache has a disk of so many bytes.
func engineOnDisk(t *testing.T, v *service, limit int64) (*Engine, *disk.Store) {
	t.Helper()
	store, err := disk.Open(disk.Options{Dir: filepath.Join(t.TempDir(), "cache"), Limit: limit, BlockSize: cache.BlockSize})
	if err != nil {
		t.Fatal(err)
	}
	c := cache.New(cache.Options{Memory: 8 * mib, Streams: 4, Source: v, Disk: store})
	e := New(Options{Cache: c, Whole: v, Service: "http://test", Memory: 8 * mib, Streams: 4})
	t.Cleanup(func() {
		e.Close()
		c.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, store
}

// unchecked is an image whose bytes may be anything.
func unchecked(size int64) image.Image {
	return image.Image{ID: "a", Status: image.StatusActive, Size: size}
}

// told notes the last that was told.
type told struct{ done, total int64 }

func (l *told) note(done, total int64) { *l = told{done, total} }

func onDisk(s *disk.Store, img image.Image) int64 { return s.Held(img.Key("http://test"), img.Size) }

// What was loaded is on the disk when Load returns, whatever the store serves, and is not
// fetched twice.
func TestLoad(t *testing.T) {
	const size = 20*mib + 77
	for _, tc := range []struct {
		name      string
		wholeOnly bool
		part      Part
		want      int64 // bytes on disk
	}{
		{"all", false, Part{}, size},
		{"all of a spool", true, Part{}, size},
		{"head", false, Part{Head: 3*mib + 1}, 3*mib + unit},
		{"head beyond the end", false, Part{Head: gib}, size},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := &service{wholeOnly: tc.wholeOnly}
			e, store := engineOnDisk(t, v, gib)
			img := unchecked(size)
			for range 2 {
				var last told
				if err := e.Load(t.Context(), img, tc.part, last.note); err != nil {
					t.Fatal(err)
				}
				if want := tc.part.Len(size); last != (told{want, want}) {
					t.Errorf("told %+v of %d", last, want)
				}
				if got := onDisk(store, img); got != tc.want {
					t.Errorf("%d bytes on disk, want %d", got, tc.want)
				}
				if got := v.moved(); got != tc.want {
					t.Errorf("%d bytes fetched, want %d", got, tc.want)
				}
			}
		})
	}
}

// The metadata of a disk are its ends and what the header names, wherever that is.
func TestLoadMetadata(t *testing.T) {
	v := &service{disk: qcow2At(20<<20, 30<<20)}
	e, store := engineOnDisk(t, v, gib)
	img := unchecked(64 * mib)
	img.DiskFormat = "qcow2"
	var last told
	if err := e.Load(t.Context(), img, Part{Metadata: true}, last.note); err != nil {
		t.Fatal(err)
	}
	const want = 5 * unit // the opening, which is two; the end; two tables
	if got := onDisk(store, img); got != want || last != (told{want, want}) || v.moved() != want {
		t.Errorf("%d bytes on disk, told %+v, %d fetched", got, last, v.moved())
	}
}

func TestLoadNothing(t *testing.T) {
	e, _ := engineOnDisk(t, &service{}, gib)
	for _, part := range []Part{{}, {Head: 5}, {Metadata: true}} {
		if err := e.Load(t.Context(), unchecked(0), part, func(int64, int64) { t.Error("told of nothing") }); err != nil {
			t.Error(err)
		}
	}
}

// A cache that does not keep what it gets ends the loading, long before its end.
func TestLoadIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{blank: true}
		e, _ := engineOnDisk(t, v, 16*mib)
		err := e.Load(t.Context(), unchecked(gib), Part{}, func(int64, int64) {})
		if !image.Is(err, image.LocalFull) {
			t.Errorf("%v", err)
		}
		if got := v.moved(); got > keptBehind+64*mib {
			t.Errorf("%d bytes were fetched in vain", got)
		}
	})
}

// Who ends the loading keeps what has come.
func TestLoadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{rate: mib}
		e, store := engineOnDisk(t, v, gib)
		img := unchecked(64 * mib)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := e.Load(ctx, img, Part{}, func(int64, int64) {})
		if !image.Is(err, image.Stalled) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if got := onDisk(store, img); got < 5*mib {
			t.Errorf("%d bytes are left", got)
		}
		if v.bodies != 0 {
			t.Errorf("%d requests go on", v.bodies)
		}
	})
}

// A service may say any size.
func TestLoadMetadataOfTheLargest(t *testing.T) {
	e := newEngine(t, &service{blank: true}, 8*mib, 4)
	var last told
	if err := e.Load(t.Context(), unchecked(math.MaxInt64), Part{Metadata: true}, last.note); err != nil {
		t.Fatal(err)
	}
	if want := 2*unit - 1; last != (told{want, want}) {
		t.Errorf("told %+v, want %d", last, want)
	}
}
