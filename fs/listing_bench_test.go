package fs

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// What a directory of very many entries costs, beside what one of go-fuse costs that does
// nothing: go test ./fs -run none -bench Directory -benchtime 5x

// listedHouse is a house that lists them.
func listedHouse(list entries) *house {
	h := newHouse()
	h.listing = list
	return h
}

// bare is a directory of go-fuse with entries that are there anyway.
type bare struct {
	gofs.Inode
	list entries
	at   map[string]int
}

type bareFile struct {
	gofs.Inode
	size uint64
}

func newBare(list entries) *bare {
	b := &bare{list: list, at: make(map[string]int, len(list))}
	for i, e := range list {
		b.at[e.Name] = i
	}
	return b
}

// Readdir lists.
func (b *bare) Readdir(context.Context) (gofs.DirStream, syscall.Errno) {
	all := make([]fuse.DirEntry, len(b.list))
	for i, e := range b.list {
		all[i] = fuse.DirEntry{Name: e.Name, Mode: modeRegular, Ino: uint64(i + 2)}
	}
	return gofs.NewListDirStream(all), 0
}

// Lookup answers.
func (b *bare) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	i, ok := b.at[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	f := &bareFile{size: uint64(i)}
	f.fill(&out.Attr)
	return b.NewInode(ctx, f, gofs.StableAttr{Mode: modeRegular, Ino: uint64(i + 2)}), 0
}

func (f *bareFile) fill(out *fuse.Attr) {
	out.Mode, out.Nlink, out.Size = modeRegular|fileMode, 1, f.size
}

// Getattr answers.
func (f *bareFile) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.fill(&out.Attr)
	return 0
}

// mountBare mounts a bare directory until the returned function is called.
func mountBare(b *testing.B, list entries) (dir string, unmount func()) {
	b.Helper()
	dir = b.TempDir()
	f := newFS(b.Context(), newHouse().rooms(), Options{}, defaultTuning)
	opts := mountOptions(f)
	timeout := f.tuning.validity
	opts.AttrTimeout = &timeout
	opts.DisableXAttrs = true // else ls -l asks two of each file, which takes ten times as long as all the rest
	server, err := gofs.Mount(dir, newBare(list), opts)
	if err != nil {
		b.Fatal(err)
	}
	return dir, func() {
		if err := server.Unmount(); err != nil {
			b.Error(err)
		}
		server.Wait()
	}
}

func mountListed(b *testing.B, list entries) (dir string, unmount func()) {
	b.Helper()
	dir = b.TempDir()
	server, err := Mount(b.Context(), dir, listedHouse(list).rooms(), Options{Project: "ours"})
	if err != nil {
		b.Fatal(err)
	}
	return dir, func() {
		if err := server.Unmount(); err != nil {
			b.Error(err)
		}
		server.Wait()
	}
}

// BenchmarkDirectory lists it on a fresh mount, and again at once.
func BenchmarkDirectory(b *testing.B) {
	list := crowdOf(crowd)
	for _, c := range []struct {
		name  string
		mount func(*testing.B, entries) (string, func())
	}{{"bare", mountBare}, {"imagefs", mountListed}} {
		for _, args := range []string{"-U", "-lU"} {
			b.Run(c.name+"/ls"+args, func(b *testing.B) {
				var first, again, used time.Duration
				for range b.N {
					dir, unmount := c.mount(b, list)
					used -= cpu(b)
					first += ls(b, args, dir)
					again += ls(b, args, dir)
					used += cpu(b)
					unmount()
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(first.Seconds()/float64(b.N), "first-s")
				b.ReportMetric(again.Seconds()/float64(b.N), "again-s")
				b.ReportMetric(used.Seconds()/float64(b.N), "daemon-cpu-s")
			})
		}
	}
}

func ls(b *testing.B, args, dir string) time.Duration {
	b.Helper()
	began := time.Now()
	if out, err := exec.Command("sh", "-c", "ls "+args+" '"+dir+"' >/dev/null").CombinedOutput(); err != nil || len(out) > 0 {
		b.Errorf("ls: %v: %s", err, out)
	}
	return time.Since(began)
}
