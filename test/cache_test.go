package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
)

// snapshot is what imagefs status says of the mount.
func (m *mount) snapshot() metrics.Snapshot {
	m.t.Helper()
	var s metrics.Snapshot
	if err := json.Unmarshal([]byte(run(m.t, binary, "status", "--json", m.dir)), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// again unmounts and mounts the same service on the same cache.
func (m *mount) again() *mount {
	m.t.Helper()
	m.unmount()
	return mountOn(m.t, m.service, "--cache-dir", m.cache)
}

// taken is how many requests for data were made since the last call, and their
// bytes.
func (w *wire) taken() (requests int, moved int64) {
	for _, e := range w.exchanges() {
		if strings.HasSuffix(e.what, "/file") {
			requests++
			moved += e.bytes
		}
	}
	return requests, moved
}

// direct reads a whole file past the kernel's page cache and compares it.
func direct(t *testing.T, path string, want []byte) {
	t.Helper()
	local := filepath.Join(t.TempDir(), "direct")
	run(t, "dd", "if="+path, "of="+local, "bs=256k", "iflag=direct")
	if got, err := os.ReadFile(local); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes that are not the image's, %v", len(got), err)
	}
}

// damages are what may happen to the files of a cache behind the mount's back: to
// those with the suffix, each.
var damages = []struct {
	name, suffix string
	do           func(t *testing.T, path string)
}{
	{"bytes changed", ".data", func(t *testing.T, path string) { overwrite(t, path, 1<<20+77, []byte("not the image's")) }},
	{"all bytes changed", ".data", func(t *testing.T, path string) { overwrite(t, path, 0, noise(149, 3<<20)) }},
	{"a hole", ".data", func(t *testing.T, path string) {
		run(t, "fallocate", "--punch-hole", "--offset", "1M", "--length", "1M", path)
	}},
	{"cut", ".data", func(t *testing.T, path string) { run(t, "truncate", "-s", "2500000", path) }},
	{"emptied", "", func(t *testing.T, path string) { run(t, "truncate", "-c", "-s", "0", path) }},
	{"deleted", "", func(t *testing.T, path string) { run(t, "rm", "-f", path) }},
	{"data deleted", ".data", func(t *testing.T, path string) { run(t, "rm", "-f", path) }},
	{"index deleted", ".index", func(t *testing.T, path string) { run(t, "rm", "-f", path) }},
	{"index changed", ".index", func(t *testing.T, path string) { overwrite(t, path, 0, noise(148, 8192)) }},
	{"checksums changed", ".index", func(t *testing.T, path string) { overwrite(t, path, 4096, noise(147, 200)) }},
}

// eachCached does it to an image's files that are in the cache. The daemon may notice
// the first, and remove the second.
func (m *mount) eachCached(id, suffix string, do func(t *testing.T, path string)) {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.cache, "*", id+"-*"+suffix))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, path := range found {
		do(m.t, path)
	}
}

func overwrite(t *testing.T, path string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to the cache's files, a reader gets the image's bytes: under the
// mount, and after another.
func TestDamagedCache(t *testing.T) {
	w, s := newWire(t, services[0])
	data := noise(150, 3<<20+12345)
	m := mountOn(t, s, "--memory", "16MiB")
	var images []image.Image
	for _, c := range damages {
		img := s.upload(t, image.New{Name: "damaged, " + c.name + ".img"}, data)
		images = append(images, img)
		// A part of it, through a descriptor that stays open: the rest is missing, so
		// the kernel asks for every read.
		f, err := os.OpenFile(m.path(img.Name), os.O_RDONLY|syscall.O_DIRECT, 0)
		if err != nil {
			t.Fatal(err)
		}
		part := func(when string) {
			p := make([]byte, 2<<20)
			if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, data[:len(p)]) {
				t.Errorf("%s, %s: other bytes, %v", c.name, when, err)
			}
		}
		part("before")
		m.eachCached(img.ID, c.suffix, c.do)
		part("after")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		direct(t, m.path(img.Name), data)
	}
	// All of them compared with their hashes: who opens one now may read without us.
	m.until("the images to be verified", func() bool { return m.snapshot().Cache.Disk.Verifying == 0 })
	for i, c := range damages {
		m.eachCached(images[i].ID, c.suffix, c.do)
		w.exchanges()
		direct(t, m.path(images[i].Name), data)
		requests, moved := w.taken()
		t.Logf("%s: %d requests took %d bytes", c.name, requests, moved)
	}
	if d := m.snapshot().Cache.Disk; d.Damaged == 0 || d.Verified == 0 || d.Mismatched != 0 {
		t.Errorf("status says %+v", d)
	}
	m.unmount()
	for i, c := range damages {
		m.eachCached(images[i].ID, c.suffix, c.do)
	}
	m = mountOn(t, s, "--cache-dir", m.cache)
	for _, img := range images {
		direct(t, m.path(img.Name), data)
	}
}

// A daemon that is killed while many read leaves a cache of right bytes: the next
// mount serves them, and fetches only what is not there.
func TestKilledWhileReading(t *testing.T) {
	w, s := newWire(t, services[0])
	const size = 64<<20 + 7
	data := noise(151, size)
	source := file(t, "source", data)
	img := s.upload(t, image.New{Name: "killed.img"}, data)
	m := mountOn(t, s)
	var readers []*exec.Cmd
	for i := range 6 {
		part := exec.Command("dd", "if="+m.path("killed.img"), "of=/dev/null", "bs=1M", "skip="+strconv.Itoa(10*i))
		if i%2 == 0 {
			part.Args = append(part.Args, "iflag=direct")
		}
		if err := part.Start(); err != nil {
			t.Fatal(err)
		}
		readers = append(readers, part)
	}
	m.until("a quarter of the image to be on disk", func() bool {
		kept := int64(0)
		m.eachCached(img.ID, ".data", func(t *testing.T, path string) {
			var st syscall.Stat_t
			if err := syscall.Stat(path, &st); err != nil {
				t.Fatal(err)
			}
			kept = st.Blocks * 512
		})
		return kept > size/4
	})
	if err := m.daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-m.ended
	for _, r := range readers {
		_ = r.Wait() // what a read meets whose filesystem is gone does not matter
	}
	run(t, binary, "unmount", "--force", m.dir)
	w.exchanges()

	link := filepath.Join(t.TempDir(), "link") // a cache may be moved, and a link left in its place
	if err := os.Symlink(m.cache, link); err != nil {
		t.Fatal(err)
	}
	after := mountOn(t, s, "--cache-dir", link)
	run(t, "cmp", source, after.path("killed.img"))
	requests, moved := w.taken()
	t.Logf("after the kill %d requests took %d of %d bytes", requests, moved, int64(size))
	if moved > size*7/8 {
		t.Errorf("%d of %d bytes were fetched again, though a quarter was on disk", moved, int64(size))
	}
	if d := after.snapshot().Cache.Disk; d == nil || d.Damaged != 0 || d.Mismatched != 0 {
		t.Errorf("status says %+v", d)
	}
	after.until("the image to be verified", func() bool { return after.snapshot().Cache.Disk.Verified == 1 })
	direct(t, after.path("killed.img"), data)
	if requests, _ := w.taken(); requests != 0 {
		t.Errorf("%d requests for what is on disk", requests)
	}
}

// Of two mounts on one cache directory the second says that it has none on disk;
// both serve the right bytes. When the first is gone, the next has what it left.
func TestTwoMountsOneCache(t *testing.T) {
	w, s := newWire(t, services[0])
	data := noise(152, 5<<20)
	s.upload(t, image.New{Name: "shared.img"}, data)
	first := mountOn(t, s)
	direct(t, first.path("shared.img"), data)
	second := mountOn(t, s, "--cache-dir", first.cache)
	direct(t, second.path("shared.img"), data)
	direct(t, first.path("shared.img"), data)
	if c := second.snapshot().Cache; c.Disk != nil || !strings.Contains(c.Warning, "in use by another mount") {
		t.Errorf("the second says %+v", c)
	}
	if !strings.Contains(second.log.String(), "caches in memory only") {
		t.Error("the second's log does not say that it caches in memory only")
	}
	if c := first.snapshot().Cache; c.Disk == nil || c.Warning != "" {
		t.Errorf("the first says %+v", c)
	}
	first.unmount()
	w.exchanges()
	third := mountOn(t, s, "--cache-dir", first.cache) // it has to ask whether it may read
	direct(t, third.path("shared.img"), data)
	if requests, moved := w.taken(); requests != 1 || moved != 1 {
		t.Errorf("%d requests for %d bytes of what the first had on disk, want the question for permission", requests, moved)
	}
}

// Bytes that changed on their way are found out as soon as all of the image is there:
// what is in memory and on disk is dropped, and readers get EIO, not those bytes.
func TestWrongBytesAreFoundOut(t *testing.T) {
	w, s := newWire(t, services[0])
	data := noise(153, 3<<20+99)
	img := s.upload(t, image.New{Name: "wrong.img"}, data)
	w.spoil(img.ID, data, -1, func(a *answer, _ []byte, off, end int64) {
		if at := int64(1<<20 + 5); off <= at && at < end {
			a.body = bytes.Clone(a.body)
			a.body[at-off] ^= 4
		}
	})
	m := mountOn(t, s)
	f, err := os.Open(m.path("wrong.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	m.until("the wrong bytes to be found out", func() bool { return m.snapshot().Cache.Disk.Mismatched == 1 })
	m.until("the log to say so", func() bool {
		log := m.log.String()
		at := strings.Index(log, "level=ERROR")
		return at >= 0 && strings.Contains(log[at:], img.ID) && strings.Contains(log[at:], "hash")
	})
	m.until("the kernel's pages to be gone", func() bool {
		_, err := f.ReadAt(make([]byte, 4096), 1<<20)
		return errors.Is(err, syscall.EIO)
	})
	for off := int64(0); off < int64(len(data)); off += 1 << 20 {
		if n, err := f.ReadAt(make([]byte, 4096), off); !errors.Is(err, syscall.EIO) {
			t.Errorf("a read at %d gives %d bytes, %v; want EIO", off, n, err)
		}
	}
	f.Close()
	w.mend(img.ID)
	direct(t, m.path("wrong.img"), data)
	m.until("the right bytes to be found right", func() bool { return m.snapshot().Cache.Disk.Verified == 1 })
	if got, err := os.ReadFile(m.path("wrong.img")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("when the service sends the right bytes: %d, %v", len(got), err)
	}
}

// rangeless starts an embedded server that serves no ranges, behind a wire.
func rangeless(t *testing.T) (*wire, service) {
	t.Helper()
	s := embedded(t, "--no-ranges")
	return newWire(t, s)
}

// What one stream has spooled stays, also after a remount: no request is made for it.
func TestSpoolSurvivesRemount(t *testing.T) {
	w, s := rangeless(t)
	data := noise(154, 12<<20+5)
	s.upload(t, image.New{Name: "part.img"}, data)
	s.upload(t, image.New{Name: "whole.img"}, data)
	m := mountOn(t, s)
	const part = 5 << 20
	if got := run(t, "head", "-c", "5242880", m.path("part.img")); !bytes.Equal([]byte(got), data[:part]) {
		t.Error("head reads other bytes")
	}
	direct(t, m.path("whole.img"), data)

	m = m.again()
	w.exchanges()
	if got := run(t, "head", "-c", "5242880", m.path("part.img")); !bytes.Equal([]byte(got), data[:part]) {
		t.Error("after the remount head reads other bytes")
	}
	direct(t, m.path("whole.img"), data)
	for _, e := range w.exchanges() {
		if strings.HasSuffix(e.what, "/file") && e.span != asksPermission {
			t.Errorf("after the remount: %s %s, %d bytes", e.what, e.span, e.bytes)
		}
	}
	direct(t, m.path("part.img"), data) // the rest of it
}

// An image that neither memory nor the disk can hold is read once from start to end
// by one stream.
func TestSpoolLargerThanTheCache(t *testing.T) {
	w, s := rangeless(t)
	const size = 48<<20 + 11
	data := noise(155, size)
	source := file(t, "source", data)
	s.upload(t, image.New{Name: "large.img"}, data)
	m := mountOn(t, s, "--memory", "16MiB", "--cache-size", "16MiB")
	w.exchanges()
	run(t, "cmp", source, m.path("large.img"))
	requests, moved := w.taken()
	t.Logf("%d requests took %d of %d bytes", requests, moved, int64(size))
	if moved > size+1<<20 {
		t.Errorf("%d bytes were moved for %d", moved, int64(size))
	}
	if d := m.snapshot().Cache.Disk; d.Bytes > 16<<20 {
		t.Errorf("%d bytes are on disk", d.Bytes)
	}
}
