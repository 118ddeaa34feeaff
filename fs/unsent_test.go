package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

// outbox is a mount's unsent changes with a service that notes what it is sent.
type outbox struct {
	*unsent
	work sync.WaitGroup
	gone chan struct{} // the kernel's side, when closed

	mu   sync.Mutex // guards the fields below
	err  error      // what the service answers
	sent []string
	lost []string
}

func newOutbox(ctx context.Context) *outbox {
	o := &outbox{gone: make(chan struct{})}
	o.unsent = newUnsent(ctx, &o.work, o.gone)
	o.unsent.trusted.Store(true)
	began := time.Now()
	o.unsent.send = func(ctx context.Context, _ *node, id string) error {
		set := o.of(id)
		o.mu.Lock()
		defer o.mu.Unlock()
		err := errors.Join(o.err, ctx.Err())
		o.sent = append(o.sent, fmt.Sprint(id, " after ", time.Since(began), ": ", describe(set)))
		if err == nil {
			o.left(id, set)
		}
		return err
	}
	o.unsent.lost = func(_ *node, id string, _ error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.lost = append(o.lost, id)
	}
	return o
}

func describe(a image.Attributes) string {
	var s string
	if a.Mode != nil {
		s += fmt.Sprintf("mode %o ", *a.Mode)
	}
	if a.UID != nil {
		s += fmt.Sprintf("uid %d ", *a.UID)
	}
	return s
}

func (o *outbox) want(t *testing.T, sent ...string) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if fmt.Sprint(o.sent) != fmt.Sprint(sent) {
		t.Errorf("sent %q, want %q", o.sent, sent)
	}
	o.sent = nil
}

var (
	mode600 = image.Attributes{Mode: pointer(uint32(0o600))}
	mode640 = image.Attributes{Mode: pointer(uint32(0o640))}
	uid7    = image.Attributes{UID: pointer(uint32(7))}
)

// inBubble runs a test of the outbox on a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, o *outbox, abort context.CancelFunc)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := newOutbox(ctx)
		test(t, o, cancel)
		close(o.gone)
		o.work.Wait()
		if len(o.images) != 0 || o.count.Load() != 0 {
			t.Errorf("%d images wait in the end, and are counted as %d", len(o.images), o.count.Load())
		}
	})
}

func TestOneBreath(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox, _ context.CancelFunc) {
		for _, set := range []image.Attributes{mode600, uid7, mode640} {
			if !o.add(t.Context(), nil, "a", set) {
				t.Fatal("a change is not taken")
			}
			time.Sleep(breath / 4)
		}
		if !o.add(t.Context(), nil, "b", uid7) {
			t.Fatal("a change is not taken")
		}
		o.want(t)
		time.Sleep(breath / 4)
		o.want(t, "a after 500ms: mode 640 uid 7 ")
		time.Sleep(breath / 2)
		o.want(t)
		time.Sleep(breath / 4)
		o.want(t, "b after 875ms: uid 7 ")
	})
}

// However often a file is changed, each change leaves within a breath.
func TestChangedForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox, _ context.CancelFunc) {
		for range 100 {
			if !o.add(t.Context(), nil, "a", uid7) {
				t.Fatal("a change is not taken")
			}
			time.Sleep(breath / 10)
		}
		synctest.Wait()
		if len(o.sent) < 9 {
			t.Errorf("%d updates in 10 breaths", len(o.sent))
		}
	})
}

// A change that is made while an update is under way is not taken for sent.
func TestChangedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox, _ context.CancelFunc) {
		send := o.send
		first := true
		o.send = func(ctx context.Context, n *node, id string) error {
			before := o.of(id)
			if first {
				first = false
				if !o.add(ctx, nil, "a", uid7) {
					t.Error("a change is not taken")
				}
				o.left(id, before)
				return nil
			}
			return send(ctx, n, id)
		}
		if !o.add(t.Context(), nil, "a", mode600) {
			t.Fatal("a change is not taken")
		}
		time.Sleep(2 * breath)
		o.want(t, "a after 1s: mode 600 uid 7 ")
	})
}

func TestSentWithAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox, _ context.CancelFunc) {
		for id, end := range map[string]func(){
			"left":    func() { o.left("left", o.of("left")) },
			"removed": func() { o.drop("removed") },
			"synced": func() {
				if err := o.flush(t.Context(), "synced"); err != nil {
					t.Error(err)
				}
			},
		} {
			if !o.add(t.Context(), nil, id, mode600) {
				t.Fatal("a change is not taken")
			}
			end()
			if !o.of(id).IsZero() {
				t.Errorf("%s: it waits still", id)
			}
		}
		time.Sleep(2 * breath)
		o.want(t, "synced after 0s: mode 600 ")
	})
}

func TestUnmountSendsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox, _ context.CancelFunc) {
		if !o.add(t.Context(), nil, "a", mode600) {
			t.Fatal("a change is not taken")
		}
		close(o.gone)
		o.work.Wait()
		o.want(t, "a after 0s: mode 600 ")
		o.gone = make(chan struct{}) // for the end of the test
	})
}

// What fails is given up and told; then changes are sent before they are answered
// until one is accepted.
func TestUnsentIsLost(t *testing.T) {
	for what, fail := range map[string]func(*outbox, context.CancelFunc){
		"refused": func(o *outbox, _ context.CancelFunc) {
			o.mu.Lock()
			o.err = errors.New("no")
			o.mu.Unlock()
			time.Sleep(breath)
		},
		"aborted": func(_ *outbox, abort context.CancelFunc) { abort() },
	} {
		inBubble(t, func(t *testing.T, o *outbox, abort context.CancelFunc) {
			if !o.add(t.Context(), nil, "a", mode600) {
				t.Fatal("a change is not taken")
			}
			fail(o, abort)
			synctest.Wait()
			if len(o.lost) != 1 || !o.of("a").IsZero() {
				t.Errorf("%s: lost %v, and %v waits", what, o.lost, o.of("a"))
			}
			if o.add(t.Context(), nil, "a", mode600) {
				t.Errorf("%s: the next change is answered before it is sent", what)
			}
		})
	}
}

func TestUnsentIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox, _ context.CancelFunc) {
		for i := range maxUnsent {
			if !o.add(t.Context(), nil, fmt.Sprint(i), mode600) {
				t.Fatalf("change %d is not taken", i)
			}
		}
		if o.add(t.Context(), nil, "one more", mode600) {
			t.Error("too many wait")
		}
		if !o.add(t.Context(), nil, "0", uid7) {
			t.Error("what waits already cannot be changed")
		}
		time.Sleep(breath)
		synctest.Wait()
		if !o.add(t.Context(), nil, "one more", mode600) {
			t.Error("a change is not taken though none waits")
		}
	})
}

// What was set on a file shows to who has it open, also when it is removed, or another
// is renamed over it, before that was sent.
func TestUnsentOfRemoved(t *testing.T) {
	for what, remove := range map[string]func(m *mounted) error{
		"unlink":      func(m *mounted) error { return os.Remove(m.path("f")) },
		"rename over": func(m *mounted) error { return os.Rename(m.path("other"), m.path("f")) },
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse()
			h.add("f", "data")
			h.add("other", "others")
			m := mountHouse(t, h)
			m.server.fs.unsent.trusted.Store(true)
			f := must(os.Open(m.path("f")))
			defer f.Close()
			if err := errors.Join(os.Chmod(m.path("f"), 0o600), remove(m)); err != nil {
				t.Fatal(err)
			}
			if fi := must(f.Stat()); fi.Mode().Perm() != 0o600 {
				t.Errorf("its mode is %v", fi.Mode())
			}
		})
	}
}

// What is set on an open file after its removal holds for those who have it open: nothing
// is sent that the service could not take.
func TestSetAfterRemoval(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouseFor(t, h)
	f := must(os.Open(m.path("disk")))
	if err := errors.Join(f.Chmod(0o600), os.Remove(m.path("disk")), f.Chmod(0o640)); err != nil {
		t.Fatal(err)
	}
	shows := func() {
		t.Helper()
		if fi := must(f.Stat()); fi.Mode() != 0o640 {
			t.Errorf("its mode is %v", fi.Mode())
		}
	}
	shows()
	m.eventually("nothing to wait", func() bool { return m.server.fs.unsent.count.Load() == 0 })
	shows()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.unmount()
	if text := m.logged.text(); strings.Contains(text, "could not be set") {
		t.Error(text)
	}
}
