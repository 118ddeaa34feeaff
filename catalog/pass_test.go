package catalog

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// TestSweepManyAtOnce: a cloud that loses nearly everything, while others ask.
func TestSweepManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		images := cloud(3 * sweepRun)
		s := newService(images...)
		s.page = 1000
		told := map[string]bool{}
		c := newCatalog(t, s, func(o *Options) { o.OnChange = func(entry string) { told[entry] = true } })
		held, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before := listed(t, c)
		for _, img := range images[:len(images)-2] {
			s.drop(img.ID)
		}
		time.Sleep(DefaultTTL)
		listed(t, c)
		synctest.Wait()
		if diff := cmp.Diff(s.want(), remembered(c)); diff != "" {
			t.Error(diff)
		}
		if len(told) != len(images)-2 {
			t.Errorf("%d of %d entries were told", len(told), len(images)-2)
		}
		if got := names(t, held, 0); len(got) != len(before) && len(got) != 2 {
			t.Errorf("who had begun to read sees %d entries", len(got))
		}
	})
}

// TestPassKeepsWhatIsNewer: what a lookup found out while a pass was under way, the page
// that was read before does not undo.
func TestPassKeepsWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "deleted"), ours(2, "renamed"), ours(3, "stays"))
		s.page = 1000
		c := newCatalog(t, s)
		listed(t, c)
		time.Sleep(DefaultTTL)
		s.slow(10 * time.Second)
		listed(t, c)
		time.Sleep(7 * time.Second) // the page is read, and on its way
		s.slow(0)
		s.drop(ours(1, "").ID)
		s.set(changed(2, "name"))
		for entry, want := range map[string]string{"deleted": "", "name": ours(2, "").ID} {
			if got := lookup(t, c, entry); got != want {
				t.Errorf("%q is %q", entry, got)
			}
		}
		want := map[string]string{"name": ours(2, "").ID, "stays": ours(3, "").ID}
		for range 2 {
			if diff := cmp.Diff(want, remembered(c)); diff != "" {
				t.Error(diff)
			}
			time.Sleep(20 * time.Second) // the pass has come to its end
		}
		if c.Stats().Refreshes != 2 || c.Stats().Failures != 0 {
			t.Errorf("%+v", c.Stats())
		}
	})
}

// TestPageAgainstALaterLookup: a page brings an image under a name that was looked up
// after the page was read, and did not have it: nobody knows, so the next lookup asks.
func TestPageAgainstALaterLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.page = 1000
		s.slow(10 * time.Second)
		c := newCatalog(t, s)
		if _, err := c.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second) // the page is read, and on its way
		s.slow(0)
		s.drop(ours(1, "").ID)
		if got := lookup(t, c, "a"); got != "" {
			t.Fatal(got)
		}
		time.Sleep(4 * time.Second) // the page is there
		if got := lookup(t, c, "a"); got != "" {
			t.Errorf("a page that was read before brought it back: %q", got)
		}
		if diff := cmp.Diff(map[string]string{}, remembered(c)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAwayAfterAPass: the service goes away between a pass and the question for what was
// changed meanwhile: that is known at once.
func TestAwayAfterAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := newService(ours(1, "a"))
		large(s)
		s.failing("since", failure(image.Unreachable))
		c := newCatalog(t, s, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		listed(t, c)
		if stats := c.Stats(); stats.Warning == "" || strings.Contains(log.String(), "again") {
			t.Errorf("warning %q, log %q", stats.Warning, log.String())
		}
	})
}

// TestPassThatFailsLate: a service in trouble is not asked for whole listings one after
// the other.
func TestPassThatFailsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"), ours(3, "c"))
		s.page = 1
		c := newCatalog(t, s)
		listed(t, c) // at once
		s.change(func(s *service) { s.passes, s.broken = 4*time.Minute, failure(image.Rejected) })
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(DefaultTTL) {
			if _, err := c.List(t.Context()); err != nil && !image.Is(err, image.Rejected) {
				t.Fatal(err)
			}
		}
		if n := c.Stats().Refreshes - 1; n < 3 || n > 6 { // each takes 4 min, and a third of the time
			t.Errorf("%d passes in an hour", n)
		}
	})
}

// pages is a Lister of one cloud.
type pages []image.Image

func (p pages) ListImages(_ context.Context, q Query, yield func([]image.Image) error) (bool, error) {
	if !q.UpdatedSince.IsZero() {
		return true, nil
	}
	for rest := p; len(rest) > 0; rest = rest[min(1000, len(rest)):] {
		if err := yield(rest[:min(1000, len(rest))]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// BenchmarkPass: the first pass over 100,000 images, with its reader, and one that
// brings nothing new.
func BenchmarkPass(b *testing.B) {
	images := cloud(100_000)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			c := New(Options{Lister: pages(images), Project: project})
			if list, err := readAll(b.Context(), c.List); err != nil || len(list) != len(images) {
				b.Fatal(len(list), err)
			}
			c.Close()
		}
	})
	b.Run("again", func(b *testing.B) {
		c := New(Options{Lister: pages(images), Project: project, TTL: time.Nanosecond})
		defer c.Close()
		for b.Loop() {
			c.mu.Lock()
			p := c.beginPass()
			c.mu.Unlock()
			<-p.done
		}
	})
}
