package test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

// A listing with attributes costs as many requests as it has pages, and none soon after.
func TestRequestsOfListings(t *testing.T) {
	const images, pages = 2500, 3
	dir := t.TempDir()
	if err := imageserver.Seed(dir, images); err != nil {
		t.Fatal(err)
	}
	w, s := newWire(t, embedded(t, "--dir", dir))
	m := mountOn(t, s)
	w.exchanges()
	for _, c := range []struct {
		command string
		want    int
	}{{`ls -l "$0"`, pages}, {`ls -l "$0"`, 0}, {`find "$0" -type f -size -100G`, 0}} {
		if out := run(t, "sh", "-ec", c.command+" | grep -c debian-12", m.dir); strings.TrimSpace(out) != strconv.Itoa(images) {
			t.Errorf("%s shows %s images", c.command, out)
		}
		var seen []string
		for _, e := range w.exchanges() {
			if !strings.Contains(e.what, "/info/usage") { // asked for behind statfs
				seen = append(seen, e.what)
			}
		}
		if len(seen) != c.want {
			t.Errorf("%s: %d requests, want %d:\n%s", c.command, len(seen), c.want, strings.Join(seen, "\n"))
		}
	}
}

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
