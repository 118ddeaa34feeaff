package fs

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, len(list))
	for i, e := range list {
		all[i] = e.Name()
	}
	return all
}

func TestDirectory(t *testing.T) {
	h := newHouse()
	const many = 500 // more than one READDIR answers
	for i := range many {
		h.add(fmt.Sprintf("disk%03d", i), "x")
	}
	m := mountHouse(t, h)
	list := names(t, m.dir)
	if len(list) != many || !slices.IsSorted(list) || list[0] != "disk000" {
		t.Errorf("%d entries: %v…", len(list), list[:3])
	}
	// d_ino is st_ino, before and after the kernel knows the file, and under a draft.
	f := must(os.OpenFile(m.path("disk007"), os.O_RDWR, 0))
	defer f.Close()
	must(os.Create(m.path("new"))).Close()
	for _, dir := range []string{m.dir, m.path(".by-id")} {
		inodes := dirents(t, dir)
		for _, name := range names(t, dir) {
			st := must(os.Stat(dir + "/" + name)).Sys().(*syscall.Stat_t)
			if inodes[name] != st.Ino {
				t.Errorf("%s has the inode %d, and is listed with %d", name, st.Ino, inodes[name])
			}
		}
	}
	m.absent("none")
	_, err := os.Stat(m.path("no!"))
	wantErr(t, err, syscall.ENOENT)
	_, err = os.Create(m.path("no!"))
	wantErr(t, err, syscall.EINVAL)
	_, err = os.Stat(m.path(strings.Repeat("x", nameMax+1)))
	wantErr(t, err, syscall.ENAMETOOLONG)
	d := must(os.Open(m.dir))
	defer d.Close()
	if err := d.Sync(); err != nil {
		t.Errorf("fsync of the directory: %v", err)
	}
}

// dirents reads a directory's inode numbers as getdents(2) has them.
func dirents(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	d := must(os.Open(dir))
	defer d.Close()
	inodes := map[string]uint64{}
	for {
		some, err := getdents(d, glibcRoom)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return inodes
		}
		for _, e := range some {
			inodes[e.name] = e.ino
		}
	}
}

// A reader of the directory that pauses sees it as it was, and brings nothing back.
func TestListingIsASnapshot(t *testing.T) {
	h := newHouse()
	h.add("a", "x")
	h.add("b", "x")
	h.add("d", "x")
	m := mountHouse(t, h)
	d := must(os.Open(m.dir))
	defer d.Close()
	fh, _, _ := m.server.fs.root.OpendirHandle(t.Context(), 0)
	dir := fh.(*directory)
	var seen []string
	for range 3 { // ".", ".." and a
		e, errno := dir.Readdirent(t.Context())
		if errno != 0 {
			t.Fatal(errno)
		}
		seen = append(seen, e.Name)
	}
	var out fuse.EntryOut
	if _, errno := dir.Lookup(t.Context(), "a", &out); errno != 0 || out.Size != 1 {
		t.Errorf("the listing answers %v", errno)
	}
	if err := os.Rename(m.path("b"), m.path("c")); err != nil {
		t.Fatal(err)
	}
	e, _ := dir.Readdirent(t.Context())
	if seen = append(seen, e.Name); !slices.Equal(seen, []string{".", "..", "a", "b"}) {
		t.Errorf("seen %q", seen)
	}
	if _, errno := dir.Lookup(t.Context(), "b", &out); errno != syscall.ENOENT {
		t.Errorf("the name that was given up is back (%v)", errno)
	}
	e, _ = dir.Readdirent(t.Context())
	if _, errno := dir.Lookup(t.Context(), "d", &out); e.Name != "d" || errno != 0 || out.Size != 1 {
		t.Errorf("of %s, which nobody has changed, the listing answers %v", e.Name, errno)
	}
	if end, errno := dir.Readdirent(t.Context()); end != nil || errno != 0 {
		t.Errorf("after the end: %v, %v", end, errno)
	}
	if errno := dir.Seekdir(t.Context(), 3); errno != 0 {
		t.Fatal(errno)
	}
	if e, _ := dir.Readdirent(t.Context()); e.Name != "b" {
		t.Errorf("offset 3 is at %s", e.Name)
	}
	if errno := dir.Seekdir(t.Context(), 1<<63); errno != 0 {
		t.Fatal(errno)
	}
	if e, errno := dir.Readdirent(t.Context()); e != nil || errno != 0 {
		t.Errorf("an offset beyond all: %v, %v", e, errno)
	}
	if errno := dir.Seekdir(t.Context(), 0); errno != 0 {
		t.Fatal(errno)
	}
	seen = nil
	for e, _ := dir.Readdirent(t.Context()); e != nil; e, _ = dir.Readdirent(t.Context()) {
		seen = append(seen, e.Name)
	}
	if !slices.Equal(seen, []string{".", "..", "a", "c", "d"}) {
		t.Errorf("rewound, it shows %q", seen)
	}
}

func TestByID(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	hidden := h.add("hidden", "secret", func(i *image.Image) { i.Hidden = true })
	m := mountHouse(t, h)
	if slices.Contains(names(t, m.dir), byIDName) {
		t.Error(".by-id shows in the root")
	}
	if list := names(t, m.path(byIDName)); !slices.Equal(list, []string{disk.ID}) {
		t.Errorf("listed: %v", list)
	}
	for id, data := range map[string]string{disk.ID: "0123456789", hidden.ID: "secret"} {
		m.want(".by-id/"+id, data)
	}
	m.absent(".by-id/none")
	path := m.path(".by-id/" + disk.ID)
	for what, c := range map[string]struct{ got, want error }{
		"create":     {second(os.Create(m.path(".by-id/new"))), syscall.EPERM},
		"write":      {second(os.OpenFile(path, os.O_WRONLY, 0)), syscall.EPERM},
		"truncate":   {os.Truncate(path, 1), syscall.EPERM},
		"remove":     {os.Remove(path), syscall.EPERM},
		"mkdir":      {os.Mkdir(m.path(".by-id/d"), 0o755), syscall.EPERM},
		"rename":     {os.Rename(path, m.path(".by-id/x")), syscall.EPERM},
		"link":       {os.Link(path, m.path(".by-id/l")), syscall.EPERM},
		"symlink":    {os.Symlink("x", m.path(".by-id/l")), syscall.EPERM},
		"mknod":      {unix.Mknod(m.path(".by-id/p"), unix.S_IFIFO, 0), syscall.EPERM},
		"rmdir":      {unix.Rmdir(m.path(byIDName)), syscall.EPERM},
		"create it":  {second(os.OpenFile(m.path(byIDName), os.O_CREATE|os.O_EXCL, 0o644)), syscall.EEXIST},
		"touch it":   {os.Chtimes(m.path(byIDName), time.Now(), time.Now()), syscall.EPERM},
		"root mkdir": {os.Mkdir(m.path("d"), 0o755), syscall.EPERM},
		"root link":  {os.Link(m.path("disk"), m.path("l")), syscall.EPERM},
		"root sym":   {os.Symlink("disk", m.path("l")), syscall.EPERM},
		"root mknod": {unix.Mknod(m.path("p"), unix.S_IFIFO, 0), syscall.EPERM},
		"tmpfile":    {second(os.OpenFile(m.dir, os.O_WRONLY|unix.O_TMPFILE, 0o600)), syscall.EOPNOTSUPP},
	} {
		if c.got == nil {
			t.Errorf("%s succeeded", what)
			continue
		}
		wantErr(t, c.got, c.want)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.path(byIDName), &st); err != nil {
		t.Error(err)
	}
	// The node of an id never becomes another image.
	m.write("disk", "new")
	m.settled()
	m.eventually("the replaced image to go", func() bool { return os.IsNotExist(second(os.Stat(path))) })
}

// The attributes of .by-id do not change, and directories have no xattrs.
func TestDirectoryAttributes(t *testing.T) {
	m := mountHouse(t, newHouse())
	ids := m.path(byIDName)
	for what, err := range map[string]error{
		"chmod": os.Chmod(ids, 0o700), "chown": os.Chown(ids, 1, 1), "utimes": os.Chtimes(ids, time.Now(), time.Now()),
	} {
		t.Log(what)
		wantErr(t, err, syscall.EPERM)
	}
	for _, dir := range []string{m.dir, ids} {
		for _, name := range []string{"user.image.tags", "user.image.property.x", "user.other"} {
			wantErr(t, unix.Setxattr(dir, name, []byte("x"), 0), syscall.EOPNOTSUPP)
			wantErr(t, unix.Removexattr(dir, name), syscall.EOPNOTSUPP)
		}
		wantErr(t, second(unix.Getxattr(dir, "user.image.id", nil)), syscall.ENODATA)
	}
}

func second[T any](_ T, err error) error { return err }

func TestReadOnlyMount(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123456789")
	m := mountHouse(t, h, func(o *Options) { o.ReadOnly = true })
	m.want("disk", "0123456789")
	for what, err := range map[string]error{
		"create": second(os.Create(m.path("new"))), "write": second(os.OpenFile(m.path("disk"), os.O_RDWR, 0)),
		"remove": os.Remove(m.path("disk")), "rename": os.Rename(m.path("disk"), m.path("x")),
		"chmod": os.Chmod(m.path("disk"), 0o600), "truncate": os.Truncate(m.path("disk"), 0),
		"xattr": unix.Setxattr(m.path("disk"), "user.image.tags", []byte("x"), 0),
	} {
		t.Log(what)
		wantErr(t, err, syscall.EROFS)
	}
	// Remounted for writing it still is what it was told to be.
	root := m.server.fs.root
	if errno := root.Unlink(t.Context(), "disk"); errno != syscall.EROFS {
		t.Errorf("unlink: %v", errno)
	}
	if errno := root.Rename(t.Context(), "disk", root, "x", 0); errno != syscall.EROFS {
		t.Errorf("rename: %v", errno)
	}
	if _, err := root.create(t.Context(), "new", 0, &handleChanges{}); !image.Is(err, image.ReadOnly) {
		t.Errorf("create: %v", err)
	}
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
	if _, err := n.openWrite(t.Context(), false, &handleChanges{}); err == nil {
		t.Error("opened for writing")
	}
}

func TestOpenWithoutBytes(t *testing.T) {
	h := newHouse()
	with := func(s image.Status) func(*image.Image) { return func(i *image.Image) { i.Status = s } }
	h.add("saving", "", with(image.StatusSaving))
	h.add("killed", "", with(image.StatusKilled))
	h.add("queued", "", with(image.StatusQueued))
	h.add("deactivated", "secret", with(image.StatusDeactivated))
	h.add("backed", "", func(i *image.Image) { i.Properties["block_device_mapping"] = "[]" })
	h.hook = func(_ context.Context, op, what string) error {
		if op == "may read" && what == h.the("deactivated").ID {
			return &image.Error{Op: op, Kind: image.Forbidden}
		}
		return nil
	}
	m := mountHouse(t, h)
	for name, want := range map[string]error{
		"saving": syscall.EBUSY, "killed": syscall.ENOENT, "deactivated": syscall.EACCES, "backed": syscall.EOPNOTSUPP,
	} {
		for _, flags := range []int{os.O_RDONLY, os.O_RDWR} {
			wantErr(t, second(os.OpenFile(m.path(name), flags, 0)), want)
		}
	}
	m.want("queued", "")
	// An upload that has ended since the listing shows at the next open.
	saving := h.the("saving")
	m.edit(saving.ID, func(i *image.Image) { i.Status, i.Size = image.StatusActive, 4 })
	m.mu.Lock()
	m.data[saving.ID] = []byte("done")
	m.mu.Unlock()
	m.want("saving", "done")
	// Writing to a queued record uploads into it.
	queued := h.the("queued")
	m.write("queued", "data")
	m.settled()
	m.want("queued", "data")
	if m.the("queued").ID != queued.ID || m.content("queued") != "data" {
		t.Error("the queued record was not filled")
	}
}

// Two images of one name have an entry each, and what is done to one is done to
// that one.
func TestTwins(t *testing.T) {
	h := newHouse()
	first, other := h.add("disk", "first"), h.add("disk", "other")
	m := mountHouse(t, h)
	twin := "disk~" + other.ID[:8]
	m.want("disk", "first")
	m.want(twin, "other")
	f := must(os.OpenFile(m.path(twin), os.O_WRONLY|os.O_TRUNC, 0))
	must(f.WriteString("changed"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("disk", "first")
	if m.the("disk").ID != first.ID || m.count() != 2 {
		t.Error("the wrong one was replaced")
	}
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatal(err)
	}
	m.server.EntryChanged(twin) // as the catalog says where entries move
	m.eventually("the other to move", func() bool {
		got, err := os.ReadFile(m.path("disk"))
		return err == nil && string(got) == "changed"
	})
}
