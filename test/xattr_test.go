package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func setxattr(path, name, value string) error {
	return unix.Setxattr(path, "user.image."+name, []byte(value), 0)
}

// free lets an image be cleaned up that is protected.
func (s service) free(t *testing.T, img image.Image) {
	t.Helper()
	if _, err := s.api.Update(t.Context(), img.ID, []image.Change{{Field: "protected", Value: false}}); err != nil {
		t.Error(err)
	}
}

// What is set before the first close goes into the request that creates the image, and
// only its protection into the one that shows it.
func TestXattrsBeforeTheFirstClose(t *testing.T) {
	for i, s := range services {
		t.Run(s.name, func(t *testing.T) {
			took := func() []string { return []string{"post", "upload", "patch"} }
			if i == 0 { // the proxy knows no Keystone
				var w *wire
				w, s = newWire(t, s)
				took = func() []string { changes, _ := w.changes(); return changes }
			}
			m := mountOn(t, s)
			name := s.cleanName(t, "xattrs before close.img")
			data := noise(80, 1<<20)
			run(t, "ls", m.dir)
			took()
			run(t, "bash", "-ec", `cd "$1"; exec 3>"$2"; set() { setfattr -n "user.image.$1" -v "$2" "$3"; }
				set visibility private "$2"; set tags b,a "$2"; set min_disk 3 "$2"; set protected true "$2"
				cat "$0" >&3
				set property.os_distro debian "$2"; set property.gone x "$2"; setfattr -x user.image.property.gone "$2"
				set disk_format aki "$2"; set container_format aki "$2"; set min_ram 64 "$2"
				[ "$(getfattr --only-values -n user.image.visibility "$2")" = private ]
				exec 3>&-`, file(t, "source", data), m.dir, name)
			if changes := took(); !slices.Equal(changes, []string{"post", "upload", "patch"}) {
				t.Errorf("it took %v", changes)
			}
			img := s.one(t, name)
			s.free(t, img)
			holds(t, img, data)
			if img.Visibility != image.VisibilityPrivate || !slices.Equal(slices.Sorted(slices.Values(img.Tags)), []string{"a", "b"}) || img.MinDisk != 3 || img.MinRAM != 64 ||
				!img.Protected || img.Hidden || img.DiskFormat != "aki" || img.ContainerFormat != "aki" || img.Properties["os_distro"] != "debian" || img.Properties["gone"] != "" {
				t.Errorf("it became %+v", img)
			}
			unseen := s.cleanName(t, "hidden before close.img")
			run(t, "bash", "-ec", `cd "$1"; exec 3>"$2"; echo x >&3; setfattr -n user.image.hidden -v true "$2"; exec 3>&-`, "", m.dir, unseen)
			m.until("what is hidden to go", func() bool { // within the second for which the kernel believes a lookup
				_, err := os.Stat(m.path(unseen))
				return errors.Is(err, os.ErrNotExist)
			})
			if img := s.one(t, unseen); !img.Hidden || img.Size != 2 || img.Properties[image.PropertyDraft] != "" {
				t.Errorf("it became %+v", img)
			}
			empty := s.cleanName(t, "empty with xattrs.img")
			run(t, "bash", "-ec", `cd "$1"; exec 3>"$2"; setfattr -n user.image.visibility -v private "$2"; setfattr -n user.image.tags -v t "$2"; exec 3>&-`, "", m.dir, empty)
			m.settled()
			if img := s.one(t, empty); img.Status != image.StatusQueued || img.Visibility != image.VisibilityPrivate || !slices.Equal(img.Tags, []string{"t"}) {
				t.Errorf("it became %+v", img)
			}
			other := s.cleanName(t, "xattrs of no format.img")
			f, err := os.Create(m.path(other))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(setxattr(m.path(other), "disk_format", "nope"), second(f.WriteString("x"))); err != nil {
				t.Error(err)
			}
			if err := f.Close(); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("close with a format that nobody knows: %v", err)
			}
			if left := s.images(t, other); len(left) != 0 {
				t.Errorf("left %+v", left)
			}
			if i == 0 {
				return
			}
			f, err = os.Create(m.path(other)) // what a policy forbids
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(setxattr(m.path(other), "visibility", "public"), second(f.WriteString("x"))); err != nil {
				t.Error(err)
			}
			if err := f.Close(); !errors.Is(err, syscall.EACCES) {
				t.Errorf("close of a public file: %v", err)
			}
			m.until("the log says why", func() bool { return strings.Contains(m.log.String(), "publicize_image") })
		})
	}
}

// What cannot be set is refused with the right errno, and the log says which image, which
// attribute and why.
func TestXattrsAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		properties := map[string]string{"p": "v"}
		for i := range 120 { // of the 128 that there may be
			properties[fmt.Sprint("many", i)] = "v"
		}
		img := s.upload(t, image.New{Name: "refused xattrs.img", Properties: properties}, []byte("x"))
		path := m.path("refused xattrs.img")
		for _, c := range []struct {
			key, value string
			want       error
			says       string
		}{
			{"id", "x", syscall.EPERM, "nobody but the service"},
			{"status", "active", syscall.EPERM, "nobody but the service"},
			{"disk_format", "iso", syscall.EPERM, "format of an image is fixed"},
			{"property.os_glance_x", "v", syscall.EPERM, "keeps a field"},
			{"property.owner", "v", syscall.EPERM, "keeps a field"},
			{"property.imagefs_draft", "v", syscall.EPERM, "keeps a field"},
			{"visibility", "secret", syscall.EINVAL, "private, shared, community and public"},
			{"protected", "perhaps", syscall.EINVAL, "true or false"},
			{"min_ram", "-1", syscall.EINVAL, "whole number"},
			{"min_disk", "2147483648", syscall.EINVAL, "whole number"},
			{"tags", strings.Repeat("x", 256), syscall.EINVAL, "refused: "},
			{"property.p", "a\x00b", syscall.EINVAL, "without NUL"},
			{"property.p", "\xff", syscall.EINVAL, "UTF-8"},
			{"property.p", "😀", syscall.EINVAL, ""},
			{"property.p", strings.Repeat("x", 65536), syscall.EINVAL, "at most 65535"},
			{"property.p", strings.Repeat("x", 65537), syscall.E2BIG, ""},
			{"property." + strings.Repeat("n", 236), "v", syscall.ERANGE, ""},
			{"property." + strings.Repeat("n", 235), "v", nil, ""},
			{"property.a/b~c", "ü", nil, ""},
			{"property.p", strings.Repeat("x", 65535), nil, ""},
			{"tags", "a%2Cb, c", nil, ""},
		} {
			if c.value == "😀" && s.name == "embedded" {
				continue // it takes any text
			}
			before := len(m.log.String())
			err := setxattr(path, c.key, c.value)
			if !errors.Is(err, c.want) {
				t.Errorf("%.40s=%.40q: %v, want %v", c.key, c.value, err, c.want)
			}
			if c.says != "" {
				m.until("one line of the log says why "+c.key+" was refused", func() bool {
					return slices.ContainsFunc(strings.Split(m.log.String()[before:], "\n"), func(line string) bool {
						return strings.Contains(line, c.says) && strings.Contains(line, img.ID) && strings.Contains(line, "xattr=user.image."+c.key)
					})
				})
			}
		}
		var many []string
		for i := range 129 {
			many = append(many, fmt.Sprint("t", i))
		}
		if err := setxattr(path, "tags", strings.Join(many, ",")); !errors.Is(err, syscall.EDQUOT) {
			t.Errorf("129 tags: %v", err)
		}
		var full error
		for i := 0; i < 9 && full == nil; i++ {
			full = setxattr(path, fmt.Sprint("property.more", i), "v")
		}
		if !errors.Is(full, syscall.EDQUOT) {
			t.Errorf("129 properties: %v", full)
		}
		p := make([]byte, 1<<16)
		size, err := unix.Listxattr(path, nil)
		n, err2 := unix.Listxattr(path, p)
		_, short := unix.Listxattr(path, p[:8])
		if err != nil || err2 != nil || size != n || !errors.Is(short, syscall.ERANGE) {
			t.Errorf("the list has %d bytes, %v, and says %d, %v; in 8 bytes %v", n, err2, size, err, short)
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(string(p[:n]), "\x00"), "\x00") {
			if _, err := unix.Getxattr(path, name, nil); err != nil {
				t.Errorf("%s is listed: %v", name, err)
			}
		}
		if got := s.one(t, "refused xattrs.img"); !slices.Equal(slices.Sorted(slices.Values(got.Tags)), []string{"a,b", "c"}) || got.Properties["a/b~c"] != "ü" || len(got.Properties["p"]) != 65535 {
			t.Errorf("it is %.500v", got)
		}
	})
}

// Fifty programs that change one image at once lose nothing of each other.
func TestChangesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		name, moved := s.cleanName(t, "changed at once.img"), s.cleanName(t, "changed and moved.img")
		img := s.upload(t, image.New{Name: name, Tags: []string{"t"}}, []byte("x"))
		path := m.path(name)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var all sync.WaitGroup
		try := func(what string, do func() error) {
			all.Go(func() {
				if err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		const programs = 50
		for i := range programs {
			try("setfattr", func() error {
				return unix.Fsetxattr(int(f.Fd()), fmt.Sprint("user.image.property.p", i), fmt.Append(nil, i), 0)
			})
		}
		try("touch", func() error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprint("/proc/self/fd/", f.Fd()), []unix.Timespec{{Sec: 7}, {Sec: 7}}, 0)
		})
		try("chmod", func() error { return f.Chmod(0o640) })
		try("mv", func() error { return os.Rename(path, m.path(moved)) })
		try("tags", func() error { return unix.Fsetxattr(int(f.Fd()), "user.image.tags", []byte("a,b"), 0) })
		all.Wait()
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		got := s.one(t, moved)
		a := got.Attributes()
		if got.ID != img.ID || !slices.Equal(slices.Sorted(slices.Values(got.Tags)), []string{"a", "b"}) || a.Mode == nil || *a.Mode != 0o640 || a.ModTime == nil || a.ModTime.Unix() != 7 {
			t.Errorf("it is %+v", got)
		}
		for i := range programs {
			if got.Properties[fmt.Sprint("p", i)] != fmt.Sprint(i) {
				t.Errorf("p%d is lost", i)
			}
		}
	})
}

// What was set before the daemon was killed, at any request of the commit, is what the
// image has in the end.
func TestXattrsOutliveADaemon(t *testing.T) {
	t.Parallel()
	p, s := newStopper(t, embedded(t))
	m := mountOn(t, s)
	data := noise(83, 300_000)
	source := file(t, "source", data)
	for nth := 0; ; nth++ {
		name := fmt.Sprint("killed with xattrs ", nth, ".img")
		if _, err := os.Stat(m.path(name)); err == nil {
			t.Fatal("it is there already")
		}
		at := p.arm(nth, atAnswer)
		program := exec.Command("bash", "-c", `exec 3>"$0"; for a in visibility=community tags=b,a protected=true property.p=v disk_format=ari container_format=ari; do
			setfattr -n "user.image.${a%%=*}" -v "${a#*=}" "$0" || exit; done; cat "$1" >&3; exec 3>&-`, m.path(name), source)
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- program.Wait() }()
		killed := false
		select {
		case method := <-at.reached:
			t.Logf("killed at the answer to %s", method)
			killed = true
			m.kill()
			p.letGo()
			<-ended //nolint:errcheck // its close may have been answered or not
			m = m.afresh()
			m.settled()
		case err := <-ended:
			p.letGo()
			if err != nil {
				t.Fatal(err)
			}
		}
		img := s.one(t, name)
		holds(t, img, data)
		if img.Visibility != image.VisibilityCommunity || len(img.Tags) != 2 || !img.Protected || img.Properties["p"] != "v" || img.DiskFormat != "ari" || img.ContainerFormat != "ari" || img.Hidden {
			t.Errorf("killed at request %d it became %+v", nth, img)
		}
		s.free(t, img)
		s.cleanName(t, name)
		if !killed {
			if nth < 3 {
				t.Errorf("only %d requests", nth)
			}
			return
		}
	}
}

// What was set on an open file and put on the disk by fsync is in the draft that a killed
// daemon leaves, and in the image that is made of it when told.
func TestXattrsOfAKeptDraft(t *testing.T) {
	s := embedded(t)
	m := mountOn(t, s)
	name := s.cleanName(t, "kept with xattrs.img")
	f, err := os.Create(m.path(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second(f.WriteString("x")), setxattr(f.Name(), "visibility", "private"), setxattr(f.Name(), "tags", "kept"), f.Sync()); err != nil {
		t.Fatal(err)
	}
	m.kill()
	f.Close() // there is no mount any more
	kept := m.journals()
	if len(kept) != 1 {
		t.Fatalf("kept %+v", kept)
	}
	run(t, binary, append([]string{"staged", "retry", "--staging-dir", m.staging, kept[0].Draft}, s.args...)...)
	if img := s.one(t, name); img.Visibility != image.VisibilityPrivate || !slices.Equal(img.Tags, []string{"kept"}) {
		t.Errorf("it became %+v", img)
	}
	if left := m.drafts(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
