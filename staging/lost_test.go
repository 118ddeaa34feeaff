package staging

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

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
			if err := errors.Join(d.Sync(t.Context()), d.Accept(t.Context(), image.Attributes{})); !errors.Is(err, syscall.EIO) || strings.Count(err.Error(), "an fsync has failed") != 2 {
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

// A commit's Sync runs beside its reading. What fails then is not committed later
// either, and the draft's end waits for it.
func TestCommitSync(t *testing.T) {
	for _, failure := range []error{nil, syscall.ENOSPC} {
		s := openStore(t, t.TempDir())
		begun, goOn := make(chan struct{}), make(chan struct{})
		s.sync = func(*os.File) error { close(begun); <-goOn; return failure }
		d := create(t, s, Spec{Name: "n", Entry: "n"})
		write(t, d, "bytes", 0)
		snap, err := d.BeginCommit(t.Context())
		must(t, err)
		wait := snap.Sync()
		<-begun
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if err := wait(impatient); !errors.Is(err, context.Canceled) {
			t.Errorf("while it runs: %v", err)
		}
		must(t, d.Update(func(r *Record) { r.State = StateCreated }))
		if r := parsed(t, s, d.ID()); r.Synced {
			t.Errorf("journaled before the fsync has ended: %+v", r)
		}
		close(goOn)
		if err := wait(t.Context()); !errors.Is(err, failure) {
			t.Errorf("%v, want %v", err, failure)
		}
		if r := parsed(t, s, d.ID()); r.Synced != (failure == nil) || r.Uncertain != (failure != nil) || r.State != StateCreated {
			t.Errorf("journaled %+v", r)
		}
		snap.End(false)
		if failure == nil {
			s.sync = func(*os.File) error { t.Error("what is on the disk is put there again"); return nil }
			again, err := d.BeginCommit(t.Context())
			must(t, err)
			must(t, again.Sync()(t.Context()))
			again.End(false)
			s.sync = (*os.File).Sync
		} else if _, err := d.BeginCommit(t.Context()); !image.Is(err, image.LocalFull) {
			t.Errorf("another commit: %v", err)
		}
		if err := d.Close(); !errors.Is(err, failure) {
			t.Errorf("close: %v", err)
		}
		if err := snap.Sync()(t.Context()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	}
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
