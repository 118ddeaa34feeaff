package fs

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func (m *mounted) setXattr(name, key, value string) error {
	return unix.Setxattr(m.path(name), xattrPrefix+key, []byte(value), 0)
}

// xattr is the value of an attribute, or the error in parentheses.
func (m *mounted) xattr(name, key string) string {
	p := make([]byte, 1024)
	n, err := unix.Getxattr(m.path(name), xattrPrefix+key, p)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(p[:n])
}

func (m *mounted) mustSet(name string, pairs ...string) {
	m.t.Helper()
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		if err := m.setXattr(name, key, value); err != nil {
			m.t.Fatalf("%s of %s: %v", p, name, err)
		}
	}
}

// shows checks what getfattr shows.
func (m *mounted) shows(name string, pairs ...string) {
	m.t.Helper()
	for _, p := range pairs {
		key, want, _ := strings.Cut(p, "=")
		if got := m.xattr(name, key); got != want {
			m.t.Errorf("%s of %s is %q, want %q", key, name, got, want)
		}
	}
}

var everything = []string{"visibility=private", "hidden=false", "protected=true", "min_disk=3", "min_ram=64", "tags=a,b", "property.os_distro=debian", "disk_format=ami", "container_format=ari"}

// What is set before the first close goes into the image, which nobody sees without it,
// and shows before and after.
func TestXattrsOfANewFile(t *testing.T) {
	for name, write := range map[string]string{"bytes": "x", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			h := newHouse()
			m := mountHouse(t, h, func(o *Options) {
				o.Fresh.Properties, o.Fresh.Tags = map[string]string{"site": "here"}, []string{"t"}
			})
			f := must(os.Create(m.path("new")))
			m.shows("new", "visibility=shared", "tags=t", "property.site=here", "protected=false", "disk_format=(no data available)", "id=(no data available)", "status=(no data available)")
			m.mustSet("new", everything...)
			if err := unix.Removexattr(m.path("new"), xattrPrefix+"property.site"); err != nil {
				t.Error(err)
			}
			must(f.WriteString(write))
			m.shows("new", append(everything, "property.site=(no data available)")...)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.settled()
			m.shows("new", everything...)
			img := m.the("new")
			if img.Visibility != image.VisibilityPrivate || !img.Protected || img.DiskFormat != "ami" || img.Properties["os_distro"] != "debian" || img.MinRAM != 64 {
				t.Errorf("the record is %+v", img)
			}
			if _, has := img.Properties["site"]; has {
				t.Error("what was removed is there")
			}
			if n := m.did("update", img.ID); n != 0 {
				t.Errorf("%d updates", n)
			}
			wantErr(t, m.setXattr("new", "disk_format", "raw"), syscall.EPERM)
			m.mustSet("new", "disk_format=ami") // it is that
		})
	}
}

// An image that is edited: what is set is in the record at once, and in the successor,
// whether before or after the writing.
func TestXattrsOfAnEditedImage(t *testing.T) {
	for name, flag := range map[string]int{"edit": 0, "overwrite": os.O_TRUNC} {
		t.Run(name, func(t *testing.T) {
			h := newHouse()
			old := h.add("disk", "0123456789", func(i *image.Image) { i.Tags = []string{"old"} })
			m := mountHouse(t, h)
			f := must(os.OpenFile(m.path("disk"), os.O_WRONLY|flag, 0))
			m.mustSet("disk", "tags=one")
			must(f.WriteString("bytes"))
			m.mustSet("disk", "property.p=v")
			if img := m.the("disk"); img.ID != old.ID || !slices.Equal(img.Tags, []string{"one"}) || img.Properties["p"] != "v" {
				t.Errorf("while it is written the record is %+v", img)
			}
			wantErr(t, m.setXattr("disk", "disk_format", "raw"), map[bool]error{true: syscall.EPERM, false: nil}[flag == 0])
			m.mustSet("disk", "protected=true", "visibility=public")
			m.shows("disk", "protected=true", "visibility=public", "tags=one", "id="+old.ID)
			if img := m.the("disk"); img.Protected || img.Visibility != image.VisibilityPrivate {
				t.Errorf("the old bytes are %+v", img)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m.settled()
			img := m.the("disk")
			if img.ID == old.ID || !img.Protected || img.Visibility != image.VisibilityPublic || !slices.Equal(img.Tags, []string{"one"}) || img.Properties["p"] != "v" {
				t.Errorf("the successor is %+v", img)
			}
		})
	}
}

// A format that was chosen and is removed again before the close is found by the content.
func TestFormatRemoved(t *testing.T) {
	h := newHouse()
	h.add("image", "x", func(i *image.Image) { i.DiskFormat, i.ContainerFormat = "aki", "aki" })
	h.add("record", "", func(i *image.Image) { i.Status, i.DiskFormat = image.StatusQueued, "ari" })
	m := mountHouse(t, h)
	f := must(os.Create(m.path("new")))
	defer f.Close()
	for _, key := range []string{"disk_format", "container_format"} {
		m.mustSet("new", key+"=aki")
		if err := unix.Removexattr(m.path("new"), xattrPrefix+key); err != nil {
			t.Error(err)
		}
		m.shows("new", key+"=(no data available)")
		wantErr(t, unix.Removexattr(m.path("new"), xattrPrefix+key), syscall.ENODATA)
		// Nor is one removed that stays.
		wantErr(t, unix.Removexattr(m.path("image"), xattrPrefix+key), syscall.EPERM)
	}
	filled := must(os.OpenFile(m.path("record"), os.O_WRONLY, 0))
	defer filled.Close()
	must(filled.WriteString("x"))
	wantErr(t, unix.Removexattr(m.path("record"), xattrPrefix+"disk_format"), syscall.EPERM)
	m.mustSet("record", "disk_format=raw")
	m.shows("record", "disk_format=raw")
}

// What waited is overruled by what is set since, and what a draft without a byte to
// commit has been told reaches the record all the same.
func TestXattrsOverruled(t *testing.T) {
	h := newHouse()
	g := newGate("commit", "disk")
	h.hook = g.hold
	g.err = &image.Error{Op: "commit", Kind: image.Forbidden}
	h.add("disk", "0123456789")
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("disk"), os.O_WRONLY|os.O_TRUNC, 0))
	must(f.WriteString("x"))
	m.mustSet("disk", "visibility=public", "protected=true", "visibility=private", "protected=false")
	m.shows("disk", "visibility=private", "protected=false")
	close(g.open)
	wantErr(t, f.Close(), syscall.EACCES)
	m.settled()
	m.shows("disk", "visibility=private", "protected=false")

	f = must(os.OpenFile(m.path("disk"), os.O_WRONLY, 0))
	m.mustSet("disk", "visibility=community") // nothing is written: at once
	if v := m.the("disk").Visibility; v != image.VisibilityCommunity {
		t.Errorf("it is %s", v)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A draft that is renamed keeps what was set, also over an image.
func TestXattrsOfARenamedDraft(t *testing.T) {
	h := newHouse()
	h.add("over", "old", func(i *image.Image) {
		i.Tags, i.Visibility, i.Properties = []string{"old"}, image.VisibilityPublic, map[string]string{"p": "old", "q": "old"}
	})
	m := mountHouse(t, h)
	f := must(os.Create(m.path("new")))
	m.mustSet("new", "visibility=private")
	for _, to := range []string{"other", "over"} {
		if err := os.Rename(m.path("new"), m.path(to)); err != nil {
			t.Fatal(err)
		}
		if to == "other" {
			m.shows(to, "visibility=private")
			if err := os.Rename(m.path(to), m.path("new")); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(f.WriteString("x"))
	m.mustSet("over", "property.p=new")
	m.shows("over", "visibility=private", "tags=old", "property.p=new", "property.q=old")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	img := m.the("over")
	if img.Visibility != image.VisibilityPrivate || !slices.Equal(img.Tags, []string{"old"}) || img.Properties["p"] != "new" || img.Properties["q"] != "old" {
		t.Errorf("the record is %+v", img)
	}
}

// With --writeback a file that waits for its upload takes xattrs, and one of an earlier
// run has those that it had.
func TestXattrsOfAFileThatWaits(t *testing.T) {
	h := newHouse()
	g := newGate("behind", "new")
	h.hook = g.hold
	m := mountHouse(t, h, quickly)
	m.write("new", "x")
	g.wait(t)
	m.mustSet("new", "visibility=private", "property.p=v")
	m.shows("new", "visibility=private", "property.p=v")
	close(g.open)
	m.settled()
	if img := m.the("new"); img.Visibility != image.VisibilityPrivate || img.Properties["p"] != "v" {
		t.Errorf("the record is %+v", img)
	}
}

// A journal that cannot be written: what was not kept is refused.
func TestXattrsWithoutRoom(t *testing.T) {
	h := newHouse()
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "settings" {
			return &image.Error{Op: "journal draft", Kind: image.LocalFull}
		}
		return nil
	}
	m := mountHouse(t, h)
	f := must(os.Create(m.path("new")))
	defer f.Close()
	wantErr(t, m.setXattr("new", "tags", "x"), syscall.ENOSPC)
	m.shows("new", "tags=")
}

// cp --preserve=xattr gives a copy all that can be set of it: of an image of another project
// what its owner has not decided for the image alone.
func TestXattrsCopied(t *testing.T) {
	h := newHouse()
	h.add("ours", "x", func(i *image.Image) {
		i.Visibility, i.Tags, i.MinDisk = image.VisibilityCommunity, []string{"a", "b,c", " 5%2C "}, 4
		i.DiskFormat, i.ContainerFormat = "aki", "aki"
		i.Properties = map[string]string{"p": "v", "os_glance_x": "y", "cinder_encryption_key_id": "", strings.Repeat("long", 60): "x", "big": strings.Repeat("x", 65537), "中/~": "ü"}
	})
	h.add("theirs", "x", func(i *image.Image) {
		i.Owner, i.Visibility, i.Protected, i.MinRAM, i.Properties = "others", image.VisibilityPublic, true, 5, map[string]string{"p": "v"}
	})
	m := mountHouse(t, h)
	for _, name := range []string{"ours", "theirs", ".by-id/" + m.the("ours").ID} {
		to := "copy of " + strings.ReplaceAll(name, "/", " ")
		if out, err := exec.Command("cp", "--preserve=xattr", m.path(name), m.path(to)).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		m.settled()
		img := m.the(to)
		switch {
		case name == "theirs":
			if img.Visibility == image.VisibilityPublic || img.Protected || img.MinRAM != 5 || img.Properties["p"] != "v" {
				t.Errorf("%s: %+v", name, img)
			}
		case img.Visibility != image.VisibilityCommunity || !slices.Equal(img.Tags, []string{" 5%2C ", "a", "b,c"}) || img.MinDisk != 4 ||
			img.DiskFormat != "aki" || img.ContainerFormat != "aki" || img.Properties["p"] != "v" || img.Properties["中/~"] != "ü":
			t.Errorf("%s: %+v", name, img)
		}
	}
}
