package fs

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// crowd is how many entries a large cloud has.
const crowd = 100_000

// crowdOf are the entries of a cloud with so many images.
func crowdOf(n int) entries {
	list := make(entries, n)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range list {
		img := image.Image{
			ID:   fmt.Sprintf("%08x-89ab-4def-8123-456789abcdef", uint32(i)*0x9e3779b1),
			Name: fmt.Sprintf("debian-13-genericcloud-%06d.qcow2", i), Status: image.StatusActive,
			Visibility: image.VisibilityPrivate, Owner: "ours", Size: int64(i), DiskFormat: "qcow2", ContainerFormat: "bare",
			CreatedAt: at, UpdatedAt: at.Add(time.Duration(i) * time.Second),
		}
		list[i] = Entry{Name: img.Name, Image: image.Pack(img)}
	}
	return list
}

// unmounted is a filesystem that asks itself what a kernel would ask.
type unmounted struct {
	fuse.RawFileSystem
	known []uint64 // the nodes that were told to it
}

func (u *unmounted) list(t testing.TB) {
	t.Helper()
	var opened fuse.OpenOut
	dir := fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}
	if status := u.OpenDir(nil, &fuse.OpenIn{InHeader: dir}, &opened); !status.Ok() {
		t.Fatal(status)
	}
	defer u.ReleaseDir(&fuse.ReleaseIn{InHeader: dir, Fh: opened.Fh})
	room := make([]byte, glibcRoom)
	for off := uint64(0); ; {
		out := fuse.NewDirEntryList(room, off)
		if status := u.ReadDirPlus(nil, &fuse.ReadIn{InHeader: dir, Fh: opened.Fh, Offset: off}, out); !status.Ok() {
			t.Fatal(status)
		}
		if len(out.Bytes()) == 0 {
			return
		}
		off = out.Offset
		if u.known == nil {
			continue
		}
		_, outs, err := fuse.ParseDirLookupEntries(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outs {
			if o.NodeId != 0 {
				u.known = append(u.known, o.NodeId)
			}
		}
	}
}

// bareCrowd is a filesystem of go-fuse, and crowded one of ours, with these entries.
func bareCrowd(list entries) *unmounted {
	return &unmounted{RawFileSystem: gofs.NewNodeFS(newBare(list), &gofs.Options{NullPermissions: true})}
}

func crowded(t testing.TB, list entries) (*unmounted, *FS) {
	h := newHouse()
	h.listing = list
	f := newFS(t.Context(), h.rooms(), Options{Project: "ours"}, defaultTuning)
	return &unmounted{RawFileSystem: bridge{RawFileSystem: gofs.NewNodeFS(f.root, mountOptions(f)), fs: f}}, f
}

// cpu is the time that this process has computed.
func cpu(t testing.TB) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// live is the memory in use, in bytes.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has finalised
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A node that the kernel knows costs little beside its record, and goes when the kernel
// forgets it.
func TestNodeMemory(t *testing.T) {
	const (
		mostOurs = 200 // bytes
		mostAll  = 620 // bytes, with what go-fuse keeps of each
	)
	list := crowdOf(crowd)
	each := func(u *unmounted) (kept, left int64) {
		u.known = make([]uint64, 0, crowd)
		before := live()
		u.list(t)
		kept = live() - before
		if len(u.known) != crowd {
			t.Fatalf("%d nodes are known", len(u.known))
		}
		for _, id := range u.known {
			u.Forget(id, 1)
		}
		left = live() - before
		runtime.KeepAlive(u)
		return kept / crowd, left / crowd
	}
	bare, bareLeft := each(bareCrowd(list))
	u, f := crowded(t, list)
	all, left := each(u)
	ours := all - bare
	t.Logf("%d bytes a node, of which go-fuse takes %d; forgotten, %d and %d are left; a node has %d bytes",
		all, bare, left, bareLeft, unsafe.Sizeof(node{}))
	if all > mostAll || ours > mostOurs {
		t.Errorf("%d bytes a node, %d of them ours; want %d and %d at most", all, ours, mostAll, mostOurs)
	}
	if f.nodes.count() != 0 || left > bareLeft+mostOurs/20 {
		t.Errorf("%d nodes are left, and %d bytes for each that there was, %d of them go-fuse's", f.nodes.count(), left, bareLeft)
	}
}

// BenchmarkReadDirPlus is what a listing with attributes costs the daemon, beside a bare
// directory of go-fuse: with nodes to be made, and with nodes that the kernel knows.
func BenchmarkReadDirPlus(b *testing.B) {
	list := crowdOf(crowd)
	for name, begin := range map[string]func() *unmounted{
		"bare":    func() *unmounted { return bareCrowd(list) },
		"imagefs": func() *unmounted { u, _ := crowded(b, list); return u },
	} {
		b.Run(name+"/first", func(b *testing.B) {
			var used time.Duration
			for b.Loop() {
				u := begin()
				runtime.GC()
				used -= cpu(b)
				u.list(b)
				used += cpu(b)
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*crowd), "cpu-ns/entry")
		})
		b.Run(name+"/again", func(b *testing.B) {
			u := begin()
			u.list(b)
			used := -cpu(b)
			for b.Loop() {
				u.list(b)
			}
			used += cpu(b)
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*crowd), "cpu-ns/entry")
		})
	}
}
