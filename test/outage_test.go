package test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// While the service is away, what is known is shown, what is cached is read, what
// needs the service fails in a bounded time, and no draft is lost. When it is
// back, everything works again without a remount.
func TestOutage(t *testing.T) {
	g, s := newGate(t, services[0])
	data := noise(80, 40<<20)
	known, fresh := s.cleanName(t, "outage.img"), s.cleanName(t, "outage-new.img")
	s.upload(t, image.New{Name: known}, data)
	m := mountOn(t, s)
	f, err := os.Open(m.path(known))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 64<<10)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir(m.dir); err != nil {
		t.Fatal(err)
	}
	w, err := os.Create(m.path(fresh))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data[:1<<20]); err != nil {
		t.Fatal(err)
	}

	g.away()
	begun := time.Now()
	for what, err := range map[string]error{
		"ls":      second(os.ReadDir(m.dir)),
		"stat":    second(os.Stat(m.path(known))),
		"statfs":  syscall.Statfs(m.dir, new(syscall.Statfs_t)),
		"fstat":   second(f.Stat()),
		"a read":  second(f.ReadAt(p, 0)),
		"a write": second(w.WriteAt(data[:100], 0)),
		"fsync":   w.Sync(),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("what is known took %v", took)
	}
	if !bytes.Equal(p, data[:len(p)]) {
		t.Error("other bytes are read")
	}
	begun = time.Now()
	if err := syscall.Unlink(m.path(known)); !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("unlink: %v", err)
	}
	// The kernel's lock of the directory is held meanwhile: DESIGN says 10 s.
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("unlink took %v", took)
	}
	m.until("status to tell of it", func() bool {
		return strings.Contains(run(t, binary, "status", m.dir), "trouble   the image service has failed for")
	})
	// A close waits for a service that restarts.
	closed := make(chan error, 1)
	go func() { closed <- w.Close() }()
	m.until("the upload to be tried again", func() bool {
		log := m.log.String()
		at := strings.LastIndex(log, "create image")
		return at >= 0 && strings.Contains(log[at:], "refused")
	})

	g.back()
	if _, err := f.ReadAt(p, 30<<20); err != nil || !bytes.Equal(p, data[30<<20:30<<20+len(p)]) {
		t.Errorf("reading after the outage: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("closing during the outage: %v", err)
	}
	if status := run(t, binary, "status", m.dir); strings.Contains(status, "trouble") {
		t.Errorf("after the outage:\n%s", status)
	}
	holds(t, s.one(t, fresh), data[:1<<20])
	if err := os.Remove(m.path(known)); err != nil {
		t.Errorf("rm after the outage: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
