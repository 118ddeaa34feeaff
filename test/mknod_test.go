package test

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// tar makes a file that has extended attributes by mknod(2), sets them, and opens it: one
// image comes of it, which has them from its creation on.
func TestTarWithXattrs(t *testing.T) {
	for i, to := range services {
		t.Run(to.name, func(t *testing.T) {
			from := services[1-i]
			took := func() []string { return []string{"post", "upload", "patch"} }
			if i == 0 { // the proxy knows no Keystone
				var w *wire
				w, to = newWire(t, to)
				took = func() []string { changes, _ := w.changes(); return changes }
			}
			const name = "archived.img"
			was := from.carried(t, name)
			source, target := mountOn(t, from, "--read-only"), mountOn(t, to)
			copied := to.cleanName(t, "from an archive.img")
			took()
			run(t, "bash", "-ec", `xattrs="--xattrs --xattrs-include=user.image.*"
				tar -C "$0" $xattrs -cf "$4" "$2"; tar -C "$1" $xattrs --transform "s/.*/$3/" -xf "$4"`,
				source.dir, target.dir, name, copied, t.TempDir()+"/archive.tar")
			if changes := took(); !slices.Equal(changes, []string{"post", "upload", "patch"}) {
				t.Errorf("it took %v", changes)
			}
			target.settled()
			to.same(t, "tar", copied, was)
		})
	}
}

// A file that was made so and that nobody opens is an image without data in the end, which
// can be filled, and can be removed before and after.
func TestMknodAlone(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		made, removed := s.cleanName(t, "made.img"), s.cleanName(t, "made and removed.img")
		for _, name := range []string{made, removed} {
			if err := unix.Mknod(m.path(name), unix.S_IFREG|0o600, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(m.path(removed)); err != nil {
			t.Fatal(err)
		}
		if out := run(t, "sh", "-c", `stat -c '%F %s' "$0"`, m.path(made)); out != "regular empty file 0\n" {
			t.Errorf("it is a %s", out)
		}
		m.unmount() // as a while does
		if img := s.one(t, made); img.Status != image.StatusQueued {
			t.Errorf("it became %+v", img)
		}
		if left := s.images(t, removed); len(left) != 0 {
			t.Errorf("left %+v", left)
		}
		m = mountOn(t, s)
		data := noise(83, 100_000)
		if err := os.WriteFile(m.path(made), data, 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, s.one(t, made), data)
		if err := os.Remove(m.path(made)); err != nil {
			t.Fatal(err)
		}
		if left := s.images(t, made); len(left) != 0 {
			t.Errorf("left %+v", left)
		}
	})
}
