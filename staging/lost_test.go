package staging

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

// After an fsync that has failed no later one makes the draft good again: it is not
// accepted, not committed, and whoever finds it knows that bytes may be missing.
func TestFailedSyncStays(t *testing.T) {
	ends := map[string]func(*Draft) error{
		"close": (*Draft).Close,
		"keep":  func(d *Draft) error { return d.Keep("the commit failed") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			d := create(t, s, Spec{Name: "n", Entry: "n"})
			write(t, d, "bytes", 0)
			s.sync = func(*os.File) error { return syscall.EIO }
			if err := d.Sync(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Errorf("sync: %v", err)
			}
			s.sync = (*os.File).Sync // as the kernel does it: what it dropped is written
			if err := errors.Join(d.Sync(t.Context()), d.Accept(t.Context(), image.Attributes{})); !errors.Is(err, syscall.EIO) || strings.Count(err.Error(), "the local disk has failed") != 2 {
				t.Errorf("sync and accept: %v", err)
			}
			if _, err := d.BeginCommit(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Errorf("commit: %v", err)
			}
			if err := end(d); !errors.Is(err, syscall.EIO) {
				t.Errorf("end: %v", err)
			}
			if r := kept(t, s)[0]; !r.Uncertain || r.Synced || r.Accepted || name == "keep" && (r.State != StateFailed || r.Reason != "the commit failed") {
				t.Errorf("kept %+v", r)
			}
		})
	}
}

// A commit that takes long has its draft put on the disk beside, and journaled as that.
func TestLongCommit(t *testing.T) {
	for _, failure := range []error{nil, syscall.ENOSPC} {
		synctest.Test(t, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			syncs := 0
			s.sync = func(*os.File) error { syncs++; return failure }
			s.written = func(*os.File) error { return nil }
			d := create(t, s, Spec{Name: "n", Entry: "n"})
			write(t, d, "bytes", 0)
			commit := func(took time.Duration) error {
				snap, err := d.BeginCommit(t.Context())
				if err != nil {
					return err
				}
				defer snap.End(false)
				return snap.During(t.Context(), func() error {
					must(t, d.Update(func(r *Record) { r.State = StateCreated }))
					time.Sleep(took)
					synctest.Wait()
					return nil
				})
			}
			must(t, commit(syncAfter-1))
			if r := parsed(t, s, d.ID()); syncs != 0 || r.Synced {
				t.Errorf("after a short one: %d fsyncs, %+v", syncs, r)
			}
			if err := commit(syncAfter + 1); !errors.Is(err, failure) {
				t.Errorf("%v, want %v", err, failure)
			}
			if r := parsed(t, s, d.ID()); syncs != 1 || r.Synced != (failure == nil) || r.Uncertain != (failure != nil) || r.State != StateCreated {
				t.Errorf("after a long one: %d fsyncs, %+v", syncs, r)
			}
			if err := commit(syncAfter + 1); !errors.Is(err, failure) || syncs != 1 {
				t.Errorf("after another one: %v, %d fsyncs", err, syncs)
			}
			if err := d.Close(); !errors.Is(err, failure) {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// What the disk has failed to take, found out after the reading, is not committed then
// or later. A reading that fails says so itself, and a ctx ends the wait for an fsync,
// which the draft's end waits for.
func TestCommitFindsLoss(t *testing.T) {
	s := openStore(t, t.TempDir())
	d := create(t, s, Spec{Name: "n", Entry: "n"})
	write(t, d, "bytes", 0)
	snap, err := d.BeginCommit(t.Context())
	must(t, err)
	must(t, snap.During(t.Context(), func() error { return nil })) // the kernel's own word
	s.written = func(*os.File) error { return syscall.EIO }
	if err := snap.During(t.Context(), func() error { return fs.ErrInvalid }); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a reading that fails: %v", err)
	}
	if err := snap.During(t.Context(), func() error { return nil }); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if r := parsed(t, s, d.ID()); !r.Uncertain {
		t.Errorf("journaled %+v", r)
	}
	snap.End(false)
	if _, err := d.BeginCommit(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("another commit: %v", err)
	}
	if err := d.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
	if err := snap.During(t.Context(), func() error { t.Error("read"); return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}

	synctest.Test(t, func(t *testing.T) {
		d := create(t, openStore(t, t.TempDir()), Spec{Name: "n", Entry: "n"})
		write(t, d, "bytes", 0)
		goOn := make(chan struct{})
		d.store.sync = func(*os.File) error { <-goOn; return nil }
		snap, err := d.BeginCommit(t.Context())
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 2*syncAfter)
		defer cancel()
		if err := snap.During(ctx, func() error { time.Sleep(syncAfter + 1); return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("during an fsync: %v", err)
		}
		snap.End(false)
		time.AfterFunc(time.Second, func() { close(goOn) })
		must(t, d.Close())
		if r := parsed(t, d.store, d.ID()); !r.Synced {
			t.Errorf("journaled %+v", r)
		}
	})
}

// A data file that has become shorter under a commit is not read as zeros.
func TestShortUnderCommit(t *testing.T) {
	s := openStore(t, t.TempDir())
	d := create(t, s, Spec{Name: "n", Entry: "n"})
	write(t, d, "bytes", 0)
	snap, err := d.BeginCommit(t.Context())
	must(t, err)
	must(t, os.Truncate(d.Path(), 2))
	if n, err := snap.ReadAt(t.Context(), make([]byte, 5), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %d, %v", n, err)
	}
	snap.End(false)
	must(t, d.Discard())
}

// A data file that differs in length from what its journal tells, after which nothing
// was written, has lost bytes.
func TestShortWhenFound(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Draft){
		"closed": func(t *testing.T, d *Draft) { must(t, d.Close()) },
		"accepted": func(t *testing.T, d *Draft) {
			must(t, d.Accept(t.Context(), image.Attributes{}))
			killed(t, d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := tempStore(t)
			d := create(t, s, Spec{Name: "n", Entry: "n"})
			write(t, d, "bytes", 0)
			end(t, d)
			must(t, os.Truncate(d.Path(), 2))
			if list := kept(t, s); len(list) != 1 || !list[0].Uncertain || list[0].Size != 2 {
				t.Errorf("listed as %+v", list)
			}
			if d = reopen(t, s, d.ID(), ReopenSpec{}); !d.Record().Uncertain {
				t.Errorf("reopened as %+v", d.Record())
			}
			must(t, d.Close())
		})
	}
}

func parsed(t *testing.T, s *Store, id string) journal {
	t.Helper()
	j, err := s.readJournal(id)
	must(t, err)
	return j
}
