package model

import (
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// Whatever programs do to files, the mount does as a plain directory does; and once
// all are closed, the service has exactly that, and staging nothing.
func TestMount(t *testing.T) {
	var steps, sequences atomic.Int64
	sequence := func(rt *rapid.T) {
		root, err := os.MkdirTemp("", "sequence-")
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := os.RemoveAll(root); err != nil {
				rt.Error(err)
			}
		}()
		w := newWorld(rt, root)
		defer w.close()
		sequences.Add(1)
		rt.Repeat(w.actions(&steps))
		w.end()
	}
	for steps.Load() < int64(*budget) {
		rapid.Check(t, sequence)
	}
	t.Logf("%d steps in %d sequences", steps.Load(), sequences.Load())
}

// actions are the steps of a sequence. Those that are there twice come twice as
// often.
func (w *world) actions(count *atomic.Int64) map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"open": w.open, "open again": w.open, "mknod": w.mknod, "dup": w.dup, "close": w.closeOne, "close again": w.closeOne, "fsync": w.fsync,
		"pwrite": w.pwrite, "pwrite again": w.pwrite, "write": w.write, "pread": w.pread, "lseek": w.lseek,
		"copy_file_range": w.copyRange, "drop pages": w.drop,
		"ftruncate": w.ftruncate, "truncate": w.truncate, "fallocate": w.fallocate, "seek data or hole": w.seek,
		"mmap": w.mmap, "read mapping": w.readMapping, "write mapping": w.writeMapping, "msync": w.msync, "munmap": w.munmap,
		"rename": w.rename, "unlink": w.unlink,
		"chmod": w.chmod, "fchmod": w.fchmod, "chown": w.chown, "utimes": w.utimes, "futimes": w.futimes,
		"look at all": w.look, "remount": w.remount,
	}
	for name, action := range actions {
		actions[name] = func(rt *rapid.T) {
			action(rt)
			count.Add(1)
		}
	}
	actions[""] = w.check
	return actions
}

// closeAll closes all handles and mappings, and compares what that leaves: in the
// mount, in the service and in staging.
func (w *world) closeAll() {
	for len(w.handles) > 0 {
		w.close1(w.handles[0])
	}
	for len(w.maps) > 0 {
		w.unmap(w.maps[0])
	}
	w.last = "the close of all files"
	w.must(w.daemon.Until("staging is empty", func() (bool, error) { // the bytes of a draft go before the rest
		left, err := w.daemon.Leftovers()
		return len(left) == 0, err
	}))
	w.checkAll()
	want := map[string][]byte{}
	for name := range w.files {
		want[name] = w.content(w.path(local, name))
	}
	w.must(w.service.Holds(w.rt.Context(), want))
}

func (w *world) checkAll() {
	w.checkNames()
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		w.files[name].dirty = false
		w.checkFile(w.files[name], fromDaemon)
	}
}

// remount unmounts, which must lose nothing, and mounts again. Inode numbers begin
// anew.
func (w *world) remount(rt *rapid.T) {
	if len(w.handles)+len(w.maps) > 2 {
		rt.Skip("files grow old by being left alone")
	}
	w.closeAll()
	w.last = "a remount"
	w.must(w.daemon.Unmount())
	w.must(w.daemon.Mount())
	for _, f := range w.files {
		f.ino = 0
	}
	w.checkAll()
	w.touched = nil
}

func (w *world) end() {
	w.closeAll()
	w.must(w.daemon.Unmount())
	if found := w.daemon.Complaints(); len(found) > 0 {
		w.rt.Fatalf("the log complains: %q", found)
	}
}
