package fs

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func pointer[T any](v T) *T { return &v }

func TestMerge(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	shown := fuse.Attr{Mode: modeRegular | 0o644, Owner: fuse.Owner{Uid: 1, Gid: 2}}
	shown.SetTimes(nil, &at, nil)
	had := image.Attributes{Mode: pointer(uint32(0o600)), Created: &at}
	for _, c := range []struct {
		name    string
		want    image.Attributes
		changed bool
	}{
		{"nothing", image.Attributes{}, false},
		{"what is shown", image.Attributes{Mode: pointer(uint32(0o644)), UID: pointer(uint32(1)), GID: pointer(uint32(2)), ModTime: &at}, false},
		{"mode", image.Attributes{Mode: pointer(uint32(0o400))}, true},
		{"no mode at all", image.Attributes{Mode: pointer(uint32(0))}, true},
		{"uid", image.Attributes{UID: pointer(uint32(0))}, true},
		{"gid", image.Attributes{GID: pointer(uint32(0))}, true},
		{"time", image.Attributes{ModTime: pointer(at.Add(1))}, true},
	} {
		got, changed := merge(had, c.want, &shown)
		if changed != c.changed || !changed && got != had {
			t.Errorf("%s: changed %v", c.name, changed)
		}
		if got.Created != had.Created {
			t.Errorf("%s: the inherited time was lost", c.name)
		}
		for _, p := range []struct{ got, want *uint32 }{{got.Mode, c.want.Mode}, {got.UID, c.want.UID}, {got.GID, c.want.GID}} {
			if changed && p.want != nil && *p.got != *p.want {
				t.Errorf("%s: %v, want %v", c.name, *p.got, *p.want)
			}
		}
	}
}

func TestAsked(t *testing.T) {
	set := func(valid uint32) image.Attributes {
		return asked(&fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: valid, Mode: modeRegular | 0o4755, Mtime: 7, Owner: fuse.Owner{Uid: 8, Gid: 9}}})
	}
	if a := set(fuse.FATTR_MODE); a.Mode == nil || *a.Mode != 0o755 || a.UID != nil || a.ModTime != nil {
		t.Errorf("mode: %+v", a)
	}
	if a := set(fuse.FATTR_UID | fuse.FATTR_GID); *a.UID != 8 || *a.GID != 9 || a.Mode != nil {
		t.Errorf("owner: %+v", a)
	}
	if a := set(fuse.FATTR_MTIME); a.ModTime == nil || a.ModTime.Unix() != 7 {
		t.Errorf("time: %+v", a)
	}
	if a := set(fuse.FATTR_SIZE | fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW); !a.IsZero() {
		t.Errorf("a truncation's own time: %+v", a)
	}
	if a := set(fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW); !a.IsZero() {
		t.Errorf("atime: %+v", a)
	}
}

func TestOlder(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	record := func(s image.Status, at time.Time) image.Image { return image.Image{ID: "i", Status: s, UpdatedAt: at} }
	for _, c := range []struct {
		name string
		a, b image.Image
		want bool
	}{
		{"the same", record(image.StatusActive, at), record(image.StatusActive, at), false},
		{"a second before", record(image.StatusActive, at.Add(-time.Second)), record(image.StatusActive, at), true},
		{"a second after", record(image.StatusActive, at.Add(time.Second)), record(image.StatusActive, at), false},
		{"before its data, in one second", record(image.StatusQueued, at), record(image.StatusActive, at), true},
		{"its data, in one second", record(image.StatusActive, at), record(image.StatusQueued, at), false},
		{"deactivated", record(image.StatusDeactivated, at), record(image.StatusActive, at), false},
	} {
		if got := older(image.Pack(c.a), image.Pack(c.b)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAttributes(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	h.add("locked", "x", func(i *image.Image) { i.Protected = true })
	h.add("theirs", "x", func(i *image.Image) { i.Owner = "others" })
	m := mountHouse(t, h)

	st := must(os.Stat(m.path("disk")))
	sys := st.Sys().(*syscall.Stat_t)
	if st.Mode() != 0o644 || sys.Uid != 1000 || sys.Gid != 1000 || sys.Nlink != 1 || st.Size() != 10 || !st.ModTime().Equal(disk.CreatedAt) {
		t.Errorf("shown: %v, %+v", st, sys)
	}
	for _, name := range []string{"locked", "theirs"} {
		if mode := must(os.Stat(m.path(name))).Mode(); mode != 0o444 {
			t.Errorf("%s: mode %v", name, mode)
		}
	}
	var stx unix.Statx_t // asked of the root first: one refusal would end statx for the mount
	for _, path := range []string{m.dir, m.path(".by-id"), m.path("disk")} {
		if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &stx); err != nil {
			t.Fatal(err)
		}
	}
	if stx.Mask&unix.STATX_BTIME == 0 || stx.Btime.Sec != disk.CreatedAt.Unix() || stx.Ctime.Sec != disk.UpdatedAt.Unix() {
		t.Errorf("statx: %+v", stx)
	}

	at := time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)
	if err := os.Chtimes(m.path("disk"), at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.path("disk"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(m.path("disk"), 7, 8); err != nil {
		t.Fatal(err)
	}
	m.eventually("the record to have it", func() bool { return m.did("update", disk.ID) == 2 })
	for _, err := range []error{os.Chtimes(m.path("disk"), at, at), os.Chmod(m.path("disk"), 0o400), os.Chown(m.path("disk"), 7, 8)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if m.server.fs.unsent.count.Load() != 0 {
		t.Error("the same again waits to be sent")
	}
	a := m.the("disk").Attributes()
	if a.ModTime == nil || !a.ModTime.Equal(at) || *a.Mode != 0o400 || *a.UID != 7 || *a.GID != 8 {
		t.Errorf("the record has %+v", a)
	}
	wantErr(t, os.Chmod(m.path("theirs"), 0o600), syscall.EPERM)
	wantErr(t, os.Chmod(m.path(".by-id/"+disk.ID), 0o600), syscall.EPERM)
	wantErr(t, os.Chmod(m.path(".by-id"), 0o700), syscall.EPERM)
	m.drop(disk.ID)
	// What is answered before it is sent is not told; the next one is.
	m.eventually("chmod of what is gone to fail", func() bool { return os.Chmod(m.path("disk"), 0o600) != nil })
	wantErr(t, os.Chmod(m.path("disk"), 0o600), syscall.ENOENT) // ESTALE makes the kernel look again
}

// What is set on a draft goes into the image; what is set while it is committed is
// not lost; bytes written later have a time of their own.
func TestAttributesOfADraft(t *testing.T) {
	h := newHouse()
	g := newGate("commit", "new")
	h.hook = g.hold
	m := mountHouse(t, h)
	at := time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)
	f := must(os.Create(m.path("new")))
	must(f.WriteString("x"))
	for _, err := range []error{f.Chmod(0o640), os.Chtimes(m.path("new"), at, at)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	closed := soon(f.Close)
	g.wait(t)
	set := soon(func() error { return os.Chown(m.path("new"), 7, 8) })
	select {
	case err := <-set:
		t.Errorf("an attribute was set on what is being committed: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	for _, done := range []<-chan error{closed, set} {
		if err := result(t, done); err != nil {
			t.Fatal(err)
		}
	}
	m.settled()
	m.eventually("the change of the owner", func() bool { return m.server.fs.unsent.count.Load() == 0 })
	a := m.the("new").Attributes()
	if a.ModTime == nil || !a.ModTime.Equal(at) || *a.Mode != 0o640 || a.UID == nil || *a.UID != 7 || *a.GID != 8 {
		t.Errorf("the record has %+v", a)
	}
	f = must(os.OpenFile(m.path("new"), os.O_WRONLY, 0))
	must(f.WriteString("y"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	a = m.the("new").Attributes()
	if a.ModTime == nil || !a.ModTime.After(at) || *a.Mode != 0o640 || *a.UID != 7 {
		t.Errorf("after an edit the record has %+v", a)
	}
}

func TestXattrs(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789", func(i *image.Image) {
		i.Properties = map[string]string{"os_distro": "debian", "site": "here", "os_glance_x": "y", image.PropertyAttributes: "{}"}
		i.Tags = []string{"a", "b"}
		i.HashAlgo, i.HashValue = "sha512", "abc"
	})
	h.add("theirs", "x", func(i *image.Image) { i.Owner = "others" })
	m := mountHouse(t, h, func(o *Options) { o.Fresh.Properties = map[string]string{"site": "here"} })
	get := func(name, key string) (string, error) {
		p := make([]byte, 256)
		n, err := unix.Getxattr(m.path(name), key, p)
		return string(p[:max(n, 0)]), err
	}
	for key, want := range map[string]string{
		"id": disk.ID, "status": "active", "visibility": "private", "owner": "ours", "tags": "a,b", "os_hash_algo": "sha512",
		"os_hash_value": "abc", "protected": "false", "hidden": "false", "min_disk": "0", "checksum": "", "property.os_distro": "debian",
		"created_at": disk.CreatedAt.Format(time.RFC3339),
	} {
		for _, path := range []string{"disk", ".by-id/" + disk.ID} {
			if got, err := get(path, "user.image."+key); err != nil || got != want {
				t.Errorf("%s %s: %q, %v, want %q", path, key, got, err, want)
			}
		}
	}
	for _, key := range []string{"user.other", "user.image.none", "user.image.property.none", "user.image.property." + image.PropertyAttributes} {
		_, err := get("disk", key)
		wantErr(t, err, syscall.ENODATA)
	}
	for _, key := range []string{"security.selinux", "security.capability", "system.posix_acl_access", "trusted.x"} {
		_, err := get("disk", key)
		wantErr(t, err, syscall.EOPNOTSUPP)
	}
	p := make([]byte, 1024)
	list := string(p[:must(unix.Listxattr(m.path("disk"), p))])
	for _, key := range []string{"tags", "visibility", "hidden", "protected", "min_disk", "min_ram", "property.os_distro", "property.site"} {
		if !strings.Contains(list, "user.image."+key+"\x00") {
			t.Errorf("%s is not listed", key)
		}
	}
	// Not what cannot be set, and no format that content tells.
	for _, key := range []string{"user.image.id\x00", "disk_format", "container_format", "os_glance_x", image.PropertyAttributes} {
		if strings.Contains(list, key) {
			t.Errorf("%s is listed", key)
		}
	}
	if n := must(unix.Listxattr(m.path("disk"), nil)); n != len(list) {
		t.Errorf("the list has %d bytes, and says %d", len(list), n)
	}

	set := func(name, key, value string, flags int) error {
		return unix.Setxattr(m.path(name), key, []byte(value), flags)
	}
	for _, c := range []struct {
		name, key, value string
		flags            int
		want             error
	}{
		{"disk", "user.other", "x", 0, syscall.EOPNOTSUPP},
		{"disk", "user.image.id", "x", 0, syscall.EPERM},
		{"disk", "user.image.none", "x", 0, syscall.EPERM},
		{"disk", "user.image.property." + image.PropertyDraft, "x", 0, syscall.EPERM},
		{"disk", "user.image.protected", "perhaps", 0, syscall.EINVAL},
		{"disk", "user.image.min_disk", "1.5", 0, syscall.EINVAL},
		{"disk", "user.image.property.os_distro", "x", unix.XATTR_CREATE, syscall.EEXIST},
		{"disk", "user.image.property.none", "x", unix.XATTR_REPLACE, syscall.ENODATA},
		{"theirs", "user.image.tags", "x", 0, syscall.EPERM},
		{".by-id/" + disk.ID, "user.image.tags", "x", 0, syscall.EPERM},
	} {
		if err := set(c.name, c.key, c.value, c.flags); err != c.want { //nolint:errorlint // unix returns plain errno
			t.Errorf("%s %s: %v, want %v", c.name, c.key, err, c.want)
		}
	}
	if n := m.did("update", disk.ID); n != 0 {
		t.Errorf("%d updates by what was refused", n)
	}
	for key, value := range map[string]string{"user.image.tags": "c, d,", "user.image.min_disk": "3", "user.image.property.new": "v"} {
		if err := set("disk", key, value, 0); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := unix.Removexattr(m.path("disk"), "user.image.property.os_distro"); err != nil {
		t.Error(err)
	}
	wantErr(t, unix.Removexattr(m.path("disk"), "user.image.id"), syscall.EPERM)
	wantErr(t, unix.Removexattr(m.path("disk"), "user.image.property.none"), syscall.ENODATA)
	wantErr(t, unix.Removexattr(m.path("disk"), "user.other"), syscall.EOPNOTSUPP)
	now := m.the("disk")
	if strings.Join(now.Tags, ";") != "c;d" || now.MinDisk != 3 || now.Properties["new"] != "v" || now.Properties["os_distro"] != "" {
		t.Errorf("the record is %+v", now)
	}
}

func TestStatfs(t *testing.T) {
	h := newHouse()
	g := newGate("usage", "")
	h.hook = g.hold
	m := mountHouse(t, h)
	var st unix.Statfs_t
	if err := unix.Statfs(m.dir, &st); err != nil {
		t.Fatal(err)
	}
	if total := int64(st.Blocks) * st.Bsize; total != roomWithoutQuota {
		t.Errorf("before the service has answered: %d bytes", total)
	}
	g.wait(t)
	close(g.open)
	m.eventually("the quota", func() bool {
		return unix.Statfs(m.dir, &st) == nil && int64(st.Blocks)*st.Bsize == 4<<30 && int64(st.Bavail)*st.Bsize == 3<<30
	})
	if st.Namelen != nameMax {
		t.Errorf("names of %d bytes", st.Namelen)
	}
}
