package test

import (
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// The numbers of requests that SEMANTICS gives for removals and replacements.
func TestRequestsOfReplacements(t *testing.T) {
	kept := []string{"--trash", "1h"}
	for _, c := range []struct {
		what, script string // with $0 the mountpoint and $1 a local file
		visibility   image.Visibility
		args         []string // of imagefs mount
		want         int
	}{
		{"rm", `rm "$0/a"`, image.VisibilityShared, nil, 1},
		{"rm with trash", `rm "$0/a"`, image.VisibilityShared, kept, 2},
		{"mv", `mv "$0/a" "$0/c"`, image.VisibilityShared, nil, 1},
		{"mv over a private image", `mv "$0/a" "$0/b"`, image.VisibilityPrivate, nil, 4},
		{"mv over a shared image", `mv "$0/a" "$0/b"`, image.VisibilityShared, nil, 6},
		{"mv over a private image with trash", `mv "$0/a" "$0/b"`, image.VisibilityPrivate, kept, 5},
		{"cp over a private image", `cp "$1" "$0/b"`, image.VisibilityPrivate, nil, 7},
		{"cp over a shared image", `cp "$1" "$0/b"`, image.VisibilityShared, nil, 8},
		{"cp over a private image with trash", `cp "$1" "$0/b"`, image.VisibilityPrivate, kept, 8},
	} {
		t.Run(c.what, func(t *testing.T) {
			w, s := newWire(t, embedded(t))
			for _, name := range []string{"a", "b"} {
				s.upload(t, image.New{Name: name, Visibility: c.visibility}, noise(72, 5000))
			}
			m := mountOn(t, s, append([]string{"--new-visibility", string(c.visibility)}, c.args...)...)
			run(t, "ls", m.dir)
			if c.args != nil {
				m.until("the first look at the trash", func() bool { return w.asked("os_hidden=true") })
			}
			w.exchanges()
			run(t, "sh", "-ec", c.script, m.dir, file(t, "source", noise(73, 70000)))
			m.settled()
			var seen []string
			for _, e := range w.exchanges() {
				if !strings.Contains(e.what, "/info/usage") { // asked for behind statfs
					seen = append(seen, e.what)
				}
			}
			if len(seen) != c.want {
				t.Errorf("%d requests, want %d:\n%s", len(seen), c.want, strings.Join(seen, "\n"))
			}
		})
	}
}
