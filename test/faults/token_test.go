package faults

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/imagefs/imagefs/test/fault"
)

// tokenAge is how old a token must be for a refusal to mean that it has expired: a younger
// one is not allowed to do this.
const tokenAge = 5 * time.Second

// aged waits until the mount's token is that old.
func (w *world) aged() error {
	return w.daemon.Until("the token to be old enough", func() (bool, error) { return time.Since(w.mounted) > tokenAge, nil })
}

// expired is an operation whose first request finds that the token has expired.
func expired(begin func(context.Context, *world) (*attempt, error)) func(context.Context, *world) (*attempt, error) {
	return func(ctx context.Context, w *world) (*attempt, error) {
		a, err := begin(ctx, w)
		if err != nil {
			return nil, err
		}
		err = w.aged()
		w.keystone.Expire()
		return a, err
	}
}

// try does an operation that must succeed, with what may go wrong in it.
func try(t *testing.T, w *world, begin func(context.Context, *world) (*attempt, error), rules ...fault.Rule) {
	t.Helper()
	a, err := begin(t.Context(), w)
	if err != nil {
		t.Fatalf("before the fault: %v", err)
	}
	before := w.proxy.Hits()
	if err := w.proxy.Set(rules...); err != nil {
		t.Fatal(err)
	}
	if err := a.do(); err != nil {
		t.Error(err)
	}
	if len(rules) > 0 && w.proxy.Hits() == before {
		t.Error("no request has met the fault")
	}
	if err := a.again(nil); err != nil {
		t.Error(err)
	}
	if a.end != nil {
		if err := a.end(); err != nil {
			t.Error(err)
		}
	}
}

// used is a mount of its own, ended with the test.
func used(t *testing.T, kind kindOfWorld) *world {
	t.Helper()
	kind.fresh = true
	w, err := spare.take(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the daemon's log ends so:\n%s", w.daemon.Tail())
		}
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// A token that has expired costs an operation one more, whatever it is; and none of them is
// in the log.
func TestTokenExpires(t *testing.T) {
	for name, begin := range map[string]func(context.Context, *world) (*attempt, error){
		"ls": lists, "stat": stats, "stat in .by-id": statsByID, "open": opens, "create": creates, "read": reads, "close": closes,
		"close over another": closesOver, "close of an edit": closesEdit, "rename": renames, "rename over another": renamesOver,
		"setxattr": setsAttribute, "unlink": unlinks, "statfs": func(ctx context.Context, w *world) (*attempt, error) {
			a, err := statfs(ctx, w)
			a.do = nil
			return &attempt{do: func() error { return a.again(nil) }, again: a.again}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := used(t, kindOfWorld{keystone: true, images: 2})
			try(t, w, expired(begin))
			if n := len(w.keystone.Issued()); name != "statfs" && n != 2 {
				t.Errorf("%d tokens were issued, want 2", n)
			}
		})
	}
}

// In the middle of reading, a connection that breaks is resumed with a new token.
func TestTokenExpiresInARead(t *testing.T) {
	t.Parallel()
	w := used(t, kindOfWorld{keystone: true})
	if err := w.aged(); err != nil {
		t.Fatal(err)
	}
	try(t, w, reads, fault.Rule{Kind: fault.Span, Times: 1, Fault: fault.Before(w.keystone.Expire, fault.ResetInBody)})
}

// Between two pages of a listing, the second is asked for with a new one.
func TestTokenExpiresInAListing(t *testing.T) {
	t.Parallel()
	const images = 1500 // two pages
	w := used(t, kindOfWorld{keystone: true, seeded: images})
	if err := w.aged(); err != nil {
		t.Fatal(err)
	}
	if err := w.proxy.Set(fault.Rule{Kind: fault.List, Skip: 1, Times: 1, Fault: fault.Before(w.keystone.Expire, fault.Slow(0))}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(w.daemon.Mountpoint)
	if err != nil || len(entries) != images {
		t.Errorf("ls shows %d entries, %v", len(entries), err)
	}
	if w.proxy.Hits() == 0 {
		t.Error("the token has not expired in the middle")
	}
}

// While data is sent the service does not look at the token again; what follows has a new one.
func TestTokenExpiresInAnUpload(t *testing.T) {
	t.Parallel()
	w := used(t, kindOfWorld{keystone: true})
	try(t, w, func(ctx context.Context, w *world) (*attempt, error) {
		a, err := closes(ctx, w)
		if err == nil {
			err = w.aged()
		}
		do := a.do
		a.do = func() error {
			closed := make(chan error, 1)
			go func() { closed <- do() }()
			err := w.daemon.Until("the upload to begin", func() (bool, error) { return w.proxy.Counts()[fault.Upload].Hit > 0, nil })
			w.keystone.Expire()
			if closeErr := <-closed; closeErr != nil {
				err = fmt.Errorf("close: %w", closeErr)
			}
			return err
		}
		return a, err
	}, fault.Rule{Kind: fault.Upload, Times: 1, Fault: fault.SlowDrip})
}

// Clocks that are hours off, Keystone's and Glance's, cost nothing.
func TestClockSkew(t *testing.T) {
	for _, c := range []struct {
		fault fault.Fault
		skew  time.Duration
	}{{fault.ClockAhead, 5 * time.Hour}, {fault.ClockBehind, -5 * time.Hour}} {
		t.Run(c.fault.Name, func(t *testing.T) {
			t.Parallel()
			w := used(t, kindOfWorld{keystone: true, skew: c.skew})
			for _, begin := range []func(context.Context, *world) (*attempt, error){stats, reads, closes, closesOver, renames, setsAttribute, unlinks} {
				try(t, w, begin, fault.Rule{Fault: c.fault, Times: fault.Always})
				if err := w.proxy.Set(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A redirect to another host is followed without the token; one of a change is not.
func TestTokenDoesNotFollow(t *testing.T) {
	t.Parallel()
	w := used(t, kindOfWorld{keystone: true})
	try(t, w, reads, fault.Rule{Kind: fault.Span, Times: fault.Always, Fault: fault.RedirectElsewhere})
	try(t, w, statsByID, fault.Rule{Kind: fault.Get, Times: fault.Always, Fault: fault.RedirectElsewhere})
	if err := w.discreet(); err != nil {
		t.Error(err)
	}
}
