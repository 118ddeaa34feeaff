package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

// always lets each request of a kind but the first few meet a fault.
func always(k fault.Kind, f fault.Fault, skip int) fault.Rule {
	return fault.Rule{Kind: k, Fault: f, Times: fault.Always, Skip: skip}
}

// looks is how often a rename over another image looks at the two before it begins.
const looks = 2

// unanswered are the ways in which a rename over another image is not answered, and whether
// the image has the name by then.
var unanswered = map[string]struct {
	rules []fault.Rule
	named bool
}{
	"the deletion hangs":    {[]fault.Rule{always(fault.Delete, fault.BlackHole, 0)}, true},
	"the deletion is reset": {[]fault.Rule{always(fault.Delete, fault.Reset, 0)}, true},
	"the deletion is done": {[]fault.Rule{
		{Kind: fault.Delete, Fault: fault.LostAnswer, Times: 1}, always(fault.Delete, fault.Reset, 0), always(fault.Get, fault.Reset, looks),
	}, true},
	"the name is reset": {[]fault.Rule{always(fault.Update, fault.Reset, 0)}, false},
	"the name is done":  {[]fault.Rule{always(fault.Update, fault.LostAnswer, 0)}, true},
}

// lent is a mount for the test alone, with images whose names have a prefix of their own,
// each of which it has looked up.
func lent(ctx context.Context, t *testing.T, images map[string]string) (w *world, prefix string) {
	t.Helper()
	w, err := spare.take(ctx, kindOfWorld{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var err error
		if t.Failed() {
			t.Logf("the daemon's log ends so:\n%s", w.daemon.Tail())
			err = w.kill()
		} else {
			err = spare.give(w)
		}
		if err != nil {
			t.Error(err)
		}
	})
	prefix = w.name("unanswered")
	for name, data := range images {
		if _, err := w.upload(ctx, image.New{Name: prefix + name}, []byte(data)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(w.path(prefix + name)); err != nil {
			t.Fatal(err)
		}
	}
	return w, prefix
}

// contents are what the service shows, by name, of those that begin with a prefix.
func (w *world) contents(ctx context.Context, prefix string) (map[string]string, error) {
	all, err := w.all(ctx)
	found := map[string]string{}
	for _, img := range all {
		matches, matchErr := filepath.Match(prefix+"*", img.Name)
		if err = errors.Join(err, matchErr); !matches || img.Hidden || err != nil {
			continue
		}
		if found[img.Name] != "" {
			return nil, fmt.Errorf("the service has a second %+v", img)
		}
		body, err := w.api.OpenWhole(ctx, img)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
		found[img.Name] = string(data)
	}
	return found, err
}

// journalsGone waits until each rename has ended.
func (w *world) journalsGone() error {
	return w.daemon.Until("the journals of renames to go", func() (bool, error) {
		left, err := filepath.Glob(filepath.Join(w.daemon.Staging, "*", "*.rename"))
		return len(left) == 0, err
	})
}

// TestUnansweredRename: after a rename over another image that was not answered, whatever
// is done at the name next is done to what the rename has left there, and neither brings
// back what was replaced nor loses what has replaced it. While the service does not answer
// it fails, and nothing is changed.
func TestUnansweredRename(t *testing.T) {
	const moved, was, third = "what is renamed", "what was there", "another file"
	for what, u := range unanswered {
		there := map[bool]string{true: moved, false: was}[u.named]
		for then, c := range map[string]struct {
			do   func(w *world, to string) error
			want map[string]string // by what follows the prefix
		}{
			"rm": {func(w *world, to string) error { return os.Remove(w.path(to)) }, nil},
			"mv": {func(w *world, to string) error { return syscall.Rename(w.path(to), w.path(to+"-away")) }, map[string]string{"-to-away": there}},
			"mv over it": {func(w *world, to string) error {
				return syscall.Rename(w.path(to[:len(to)-len("-to")]+"-third"), w.path(to))
			},
				map[string]string{"-to": third}},
			"cp over it": {func(w *world, to string) error { return os.WriteFile(w.path(to), []byte("written"), 0o644) }, map[string]string{"-to": "written"}},
			"setfattr": {func(w *world, to string) error {
				return unix.Setxattr(w.path(to), "user.image.property.p", []byte("v"), 0)
			},
				map[string]string{"-to": there}},
		} {
			t.Run(what+", then "+then, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 5*daemon.Patience)
				defer cancel()
				w, prefix := lent(ctx, t, map[string]string{"-from": moved, "-to": was, "-third": third})
				from, to := prefix+"-from", prefix+"-to"
				if err := w.proxy.Set(u.rules...); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Rename(w.path(from), w.path(to)); !errors.Is(err, syscall.EIO) {
					t.Fatalf("the rename: %v", err)
				}
				hangs := u.rules[0].Fault.Name == fault.BlackHole.Name // for too long where a close tries several times
				if u.rules[0].Kind == fault.Delete && !(hangs && then == "cp over it") {
					before, err := w.all(ctx)
					if err != nil {
						t.Fatal(err)
					}
					if err := c.do(w, to); !errors.Is(err, syscall.EIO) {
						t.Errorf("while the service does not answer: %v", err)
					}
					if now, err := w.all(ctx); err != nil || !maps.Equal(ids(now), ids(before)) {
						t.Errorf("while the service does not answer: %v, it has\n%+v\nand had\n%+v", err, now, before)
					}
				}
				if err := w.proxy.Set(); err != nil {
					t.Fatal(err)
				}
				if err := w.recovered(); err != nil {
					t.Fatal(err)
				}
				if err := c.do(w, to); err != nil {
					t.Errorf("when the service is well again: %v", err)
				}
				want := map[string]string{}
				for name, data := range c.want {
					want[prefix+name] = data
				}
				if then != "mv over it" {
					want[prefix+"-third"] = third
				}
				if !u.named {
					want[from] = moved
				}
				check := func(when string) {
					if got, err := w.contents(ctx, prefix); err != nil || !maps.Equal(got, want) {
						t.Errorf("%s: %v, it has %q, want %q", when, err, got, want)
					}
				}
				check("then")
				if err := w.journalsGone(); err != nil {
					t.Error(err)
				}
				check("in the end")
			})
		}
	}
}

// ids are the names of the images that show, by their ids.
func ids(all []image.Image) map[string]string {
	found := map[string]string{}
	for _, img := range all {
		if !img.Hidden {
			found[img.ID] = img.Name
		}
	}
	return found
}
