package commit

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// What the local disk has failed to take may not be what was written, whatever the
// service has of it: it is taken back, and what was to be replaced stays.
func TestLossFoundDuringUpload(t *testing.T) {
	h := newHouse(t, newFake())
	check(t, h.store.Close())
	var err error
	h.store, err = staging.Open(staging.Options{Dir: h.dir, Service: testService, Project: h.service.project, Written: func(*os.File) error {
		if calls := strings.Join(h.service.calls, " "); calls != "get members create addmember upload get" {
			t.Errorf("looked after %s", calls)
		}
		return syscall.EIO
	}})
	check(t, err)
	spec, old := overSpec(h)
	d, err := h.store.Create(spec)
	check(t, err)
	h.write(d, pattern(900), 0)
	if _, err := h.Commit(ctxb, d); !errors.Is(err, syscall.EIO) || image.KindOf(err) != image.Other {
		t.Errorf("commit: %v", err)
	}
	if left := h.only(); left.ID != old.ID {
		t.Errorf("left is %+v", left)
	}
	if r := d.Record(); r.State != staging.StateFailed || !r.Uncertain {
		t.Errorf("journal %+v", r)
	}
	calls := len(h.service.calls)
	if _, err := h.Commit(ctxb, d); !errors.Is(err, syscall.EIO) || len(h.service.calls) != calls {
		t.Errorf("another commit: %v, requests %s", err, strings.Join(h.service.calls[calls:], " "))
	}
	if err := d.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
}
