package fs

import (
	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/imagefs/imagefs/image"
)

// known returns the node of an entry, nil when the kernel knows none.
func (f *FS) known(e Entry) *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.knownLocked(e)
}

func (f *FS) knownLocked(e Entry) *node {
	if e.Draft != "" {
		if d := f.drafts[e.Draft]; d != nil {
			return d.node // its image's id may be changing just now
		}
	}
	if e.Image.IsZero() {
		return nil // its draft has just ended
	}
	return f.aliveLocked(keyOfImage(e.Image), f.root.EmbeddedInode(), e.Name)
}

// aliveLocked returns the node with a key, whose name in the directory is as given.
func (f *FS) aliveLocked(k nodeKey, directory *gofs.Inode, name string) *node {
	if child := directory.GetChild(name); child != nil {
		// go-fuse can revive a node that it has just told us to forget, when a lookup
		// of it is under way. Two nodes of one image would part.
		if n, ok := child.Operations().(*node); ok && n.key == k && !n.parted {
			return n
		}
	}
	return f.nodes.of(k)
}

// nodeOf returns the node of an entry, and makes it when the kernel knows none; nil
// for a draft that has just ended: then the entry stands for something else, or for
// nothing. A node that is known takes the newer record.
func (f *FS) nodeOf(e Entry) *node {
	f.mu.Lock()
	n := f.knownLocked(e)
	if n != nil && n.drafts > 0 && e.Draft == "" {
		f.mu.Unlock()
		n.apart(e)
		f.mu.Lock()
		n = f.knownLocked(e)
	}
	switch {
	case n == nil && e.Draft != "": // the image of the entry may have been replaced by the draft's
		f.mu.Unlock()
		return nil
	case n == nil:
		n = f.newNodeLocked(keyOfImage(e.Image), e.Image)
	case n.forgotten:
		f.keepLocked(n)
	}
	f.mu.Unlock()
	n.found(e.Image)
	return n
}

// apart lets the entry of an image have a node of its own where the known one has a draft at
// another: others have renamed the image, or a rename has failed half-way. What is written
// to the one file must not be written to the other.
func (n *node) apart(e Entry) {
	_, d := n.now()
	if d == nil {
		return
	}
	d.mu.Lock()
	elsewhere := d.entry != e.Name
	d.mu.Unlock()
	if !elsewhere {
		return
	}
	f, id := n.fs, d.bytes.ID()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drafts[id] == d && n.key == keyOfImage(e.Image) { // else its commit has given it another image
		f.nodes.rekey(n, keyOf(id))
	}
}

// fixedNodeOf returns the node of an entry of .by-id, the given directory.
func (f *FS) fixedNodeOf(e Entry, directory *gofs.Inode) *node {
	k := keyOfImage(e.Image).fixed()
	f.mu.Lock()
	n := f.aliveLocked(k, directory, e.Name)
	if n == nil {
		n = f.newNodeLocked(k, e.Image)
	} else if n.forgotten {
		f.keepLocked(n)
	}
	f.mu.Unlock()
	n.found(e.Image)
	return n
}

// newNodeLocked makes a node; its image is no record for that of a new draft.
func (f *FS) newNodeLocked(k nodeKey, img image.Packed) *node {
	n := &node{fs: f, ino: f.nodes.freeNumber(k), key: k, fixed: k.byID, img: img}
	f.keepLocked(n)
	return n
}

// keepLocked makes the node the one that its key and its number lead to.
func (f *FS) keepLocked(n *node) {
	f.nodes.keep(n)
	n.forgotten = false
}

// inodeOf is the inode number that an entry has, or will have when it is looked up.
func (f *FS) inodeOf(e Entry) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Draft != "" {
		if d := f.drafts[e.Draft]; d != nil {
			return d.node.ino
		}
	}
	if e.Image.IsZero() {
		return keyOf(e.Draft).number()
	}
	return f.nodes.number(keyOfImage(e.Image))
}

// fixedInodeOf is the inode number that an entry of .by-id has, or will have.
func (f *FS) fixedInodeOf(e Entry) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes.number(keyOfImage(e.Image).fixed())
}

// moved records that the node is now behind the image, or the new draft, with the given
// id.
func (f *FS) moved(n *node, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes.rekey(n, keyOf(id))
}

// allNodes returns every node that the kernel knows.
func (f *FS) allNodes() []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes.all()
}

// forget drops a node that the kernel has forgotten. One with a draft stays: the entry
// leads to it as long as the draft has not ended, and no other may have its number then.
func (f *FS) forget(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.forgotten = true
	if n.drafts == 0 {
		f.nodes.drop(n)
	}
}

// bindLocked makes the draft known, and keeps its node.
func (f *FS) bindLocked(d *draft) {
	f.drafts[d.bytes.ID()] = d
	d.node.drafts++
}

// unbind is the end of bindLocked.
func (f *FS) unbind(d *draft) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drafts[d.bytes.ID()] != d {
		return
	}
	delete(f.drafts, d.bytes.ID())
	d.node.drafts--
	if d.node.drafts == 0 && (d.node.forgotten || !d.node.inTree.Load()) {
		d.node.forgotten = true // by a kernel that may never have known it: the draft is of an earlier run
		f.nodes.drop(d.node)
	}
}

// identity returns what go-fuse tells a node by. The generation is never the same for
// two: go-fuse answers a lookup with the node that it has already of one identity, and
// has a node for longer than we where it revives it while we are told to forget it (see
// aliveLocked). The kernel compares 32 bits of it. As it is part of a file handle
// (name_to_handle_at(2)), beside a number that each mount gives anew, it does not begin with
// the same in each.
func (f *FS) identity(n *node) gofs.StableAttr {
	return gofs.StableAttr{Mode: modeRegular, Ino: n.ino, Gen: uint64(f.generation.Add(1))}
}
