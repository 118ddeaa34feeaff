package fs

import (
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/moby/sys/mountinfo"

	"github.com/imagefs/imagefs/image"
)

// count returns how many nodes the table has, each way that leads to one counted.
func (t *nodeTable) count() int { return len(t.numbered) + len(t.strays) }

// nodes returns how many nodes the filesystem keeps.
func (m *mounted) nodes() int {
	f := m.server.fs
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes.count()
}

// What the kernel forgets, the filesystem forgets.
func TestForgottenNodes(t *testing.T) {
	h := newHouse()
	h.add("a", "x")
	h.add("b", "x")
	m := mountHouse(t, h)
	for _, name := range []string{"a", "b"} {
		m.want(name, "x")
		m.want(".by-id/"+h.the(name).ID, "x")
	}
	m.write("new", "x")
	m.write("a", "y") // the node is behind another image now
	m.settled()
	if err := os.Remove(m.path("new")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "new", byIDName} {
		m.server.EntryChanged(name) // the kernel drops the name and, as nobody has it open, the inode
	}
	m.eventually("the nodes to be forgotten", func() bool { return m.nodes() == 0 })
	m.want("a", "y")
}

// A lookup that meets the kernel's forgetting of the same node revives it: it stays
// the one node of its image, and lookups find it.
func TestLookupMeetsForget(t *testing.T) {
	h := newHouse()
	h.add("disk", "x")
	m := mountHouse(t, h)
	m.want("disk", "x")
	f := m.server.fs
	e := must(m.Lookup(t.Context(), "disk"))
	n := f.nodeOf(e)
	n.OnForget() // in the middle of a lookup that has just got n, and will hand it to go-fuse
	if again := f.nodeOf(e); again != n {
		t.Error("the node that the kernel has is not found any more")
	}
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatalf("the entry counts as another image: %v", err)
	}
}

// A node that was parted from its entry, and that a lookup revived while it was forgotten,
// is not what go-fuse takes for the node that the entry gets: they have one inode number,
// and nothing else would tell the two apart.
func TestLookupBesideParted(t *testing.T) {
	h := newHouse()
	h.add("disk", "x")
	m := mountHouse(t, h)
	file, err := os.Open(m.path("disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := m.server.fs
	n := f.nodeOf(must(m.Lookup(t.Context(), "disk")))
	f.part(n)
	n.OnForget() // as if a lookup had just got it, and go-fuse will have it again
	m.server.EntryChanged("disk")
	m.eventually("the entry to have another node", func() bool {
		if _, err := os.Stat(m.path("disk")); err != nil {
			t.Fatal(err)
		}
		child := f.root.GetChild("disk")
		return child != nil && child.Operations() != n
	})
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatalf("the entry counts as another image: %v", err)
	}
}

// No two nodes are the same to go-fuse, nor, by their file handles, to the kernel: not in
// another mount either.
func TestIdentity(t *testing.T) {
	seen := map[uint64]bool{}
	for range 2 {
		f := newFS(t.Context(), newHouse().rooms(), Options{}, defaultTuning)
		for range 2 {
			id := f.identity(&node{ino: 7})
			if id.Ino != 7 || id.Gen>>32 != 0 || seen[id.Gen] {
				t.Errorf("%+v after %v", id, seen)
			}
			seen[id.Gen] = true
		}
	}
}

// The node of a draft keeps its inode number while the kernel has forgotten it, until the
// draft has ended.
func TestNumberOfADraft(t *testing.T) {
	h, away := awayHouse()
	h.add("disk", "x")
	m := mountHouse(t, h, quickly)
	was := must(m.Lookup(t.Context(), "disk"))
	m.write("disk", "data")
	m.eventually("the handle to go", func() bool { return m.server.OpenHandles() == 0 })
	f := m.server.fs
	n := f.nodeOf(must(m.Lookup(t.Context(), "disk")))
	forgotten := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return n.forgotten
	}
	m.server.EntryChanged("disk")
	m.eventually("the kernel to forget it", forgotten)
	if late := f.nodeOf(was); late != n { // an answer of before the file was written
		t.Errorf("the image under the draft has another node, of number %d, beside %d", late.ino, n.ino)
	}
	f.mu.Lock()
	n.forgotten = true // as it is: that was no lookup
	f.mu.Unlock()
	away.on.Store(false)
	m.settled()
	m.eventually("the node to go with its draft", func() bool { return m.nodes() == 0 })
	m.want("disk", "data")
	if err := os.Remove(m.path("disk")); err != nil {
		t.Fatal(err)
	}
}

// Lookups of one entry that nobody has looked up before get one node, however many come
// at once: each of those that stat an entry whose validity is over asks anew.
func TestLookupsAtOnce(t *testing.T) {
	h := newHouse()
	h.add("disk", "x")
	m := mountHouse(t, h)
	root := m.server.fs.root
	var group sync.WaitGroup
	nodes := make([]uint64, 8)
	for i := range nodes {
		group.Go(func() {
			var out fuse.EntryOut
			inode, errno := root.Lookup(t.Context(), "disk", &out)
			if errno != 0 {
				t.Errorf("lookup: %v", errno)
				return
			}
			nodes[i] = inode.StableAttr().Ino
		})
	}
	group.Wait()
	if one := slices.Compact(nodes); len(one) != 1 || one[0] == 0 {
		t.Errorf("the lookups found the nodes %v", nodes)
	}
}

// A commit that ends after its node was forgotten leaves nothing behind.
func TestCommitAfterForget(t *testing.T) {
	f := newFS(t.Context(), newHouse().rooms(), Options{}, defaultTuning)
	f.mu.Lock()
	n := f.newNodeLocked(keyOf("draft"), image.Packed{})
	f.mu.Unlock()
	n.OnForget()
	n.replace(image.Image{ID: "image"})
	if f.nodes.count() != 0 {
		t.Errorf("%v is left", f.nodes)
	}
}

// A draft that has just ended without an image is no entry, and leaves no node.
func TestEntryOfAnEndedDraft(t *testing.T) {
	h := newHouse()
	m := mountHouse(t, h)
	var out fuse.EntryOut
	if _, errno := m.server.fs.root.entered(t.Context(), Entry{Name: "gone", Draft: "gone"}, &out); errno == 0 {
		t.Error("it is there")
	}
	if n := m.nodes(); n != 0 {
		t.Errorf("%d nodes are left", n)
	}
}

// A lookup that was answered while the file was being written, and comes when its draft
// has ended, leaves the entry its node: with another one, behind the image that was
// replaced, the next write would make a second image.
func TestEntryOfAReplacedImage(t *testing.T) {
	h := newHouse()
	h.add("disk", "old")
	var late atomic.Bool // the first lookup is
	var asked atomic.Int64
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "lookup" && late.Load() && asked.Add(1) > 1 {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.listing = nil
		}
		return nil
	}
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("disk"), os.O_WRONLY|os.O_TRUNC, 0))
	outdated := must(m.Lookup(t.Context(), "disk"))
	must(f.WriteString("new"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m.settled()
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
	if again := m.server.fs.nodeOf(outdated); again != nil && again != n {
		t.Errorf("the entry has a second node, behind %v", again.img.ID())
	}
	var out fuse.EntryOut
	if _, errno := m.server.fs.root.entered(t.Context(), outdated, &out); errno == 0 {
		t.Error("a reader of the directory is told of the draft")
	}
	h.mu.Lock()
	h.listing = entries{outdated}
	h.mu.Unlock()
	late.Store(true)
	inode, errno := m.server.fs.root.Lookup(t.Context(), "disk", &out)
	if errno != 0 || inode != n.EmbeddedInode() || asked.Load() != 2 {
		t.Errorf("the lookup: errno %d, node %v, asked %d times", errno, inode, asked.Load())
	}
}

// An older record does not take away what a commit has brought.
func TestStaleRecord(t *testing.T) {
	h := newHouse()
	queued := h.add("disk", "", func(i *image.Image) { i.Status = image.StatusQueued })
	m := mountHouse(t, h)
	stale := must(m.Lookup(t.Context(), "disk"))
	m.write("disk", "data")
	m.settled()
	n := m.server.fs.nodeOf(stale) // a lookup that was answered before, and comes now
	if img, _ := n.now(); img.ID != queued.ID || img.Size != 4 {
		t.Errorf("the node is behind %+v", img)
	}
}

func TestMountShows(t *testing.T) {
	m := mountHouse(t, newHouse())
	list, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(m.dir))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if list[0].FSType != "fuse.imagefs" || list[0].Source != "house" {
		t.Errorf("type %s, source %s", list[0].FSType, list[0].Source)
	}
}

// A mount that cannot be leaves nothing.
func TestMountRefused(t *testing.T) {
	if _, err := Mount(t.Context(), "/nonexistent/mountpoint", newHouse().rooms(), Options{}); err == nil {
		t.Error("mounted on nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Mount(ctx, t.TempDir(), newHouse().rooms(), Options{}); err == nil {
		t.Error("mounted after the end")
	}
}

// Abort gives up what runs: its draft stays in staging, closed.
func TestAbort(t *testing.T) {
	h := newHouse()
	g := newGate("commit", "new")
	h.hook = g.hold
	m := mountHouse(t, h)
	closed := whileCommitting(t, m, g, "new", "data")
	m.server.Abort()
	if err := result(t, closed); err == nil {
		t.Error("close has succeeded")
	}
	m.eventually("the handle to go", func() bool { return m.server.OpenHandles() == 0 })
	if err := m.server.Unmount(); err != nil {
		t.Fatal(err)
	}
	m.server.Wait()
	if ends := h.ends(); ends["closed"] != 1 || m.count() != 0 { // its journal says that the commit is due
		t.Errorf("drafts ended %v, %d images", ends, m.count())
	}
	m.overlay, m.drafts = map[string]string{}, map[string]*fakeDraft{} // the next mount's business
}
