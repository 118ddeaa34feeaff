package fs

import (
	"maps"
	"math"
	"slices"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/imagefs/imagefs/image"
)

// nodeTable finds the nodes that the kernel knows: by what is behind them, and by their
// inode number. FS.mu guards it.
//
// A directory of very many entries has as many nodes, so a node costs one element of one
// map: its number is a hash of what it began with (nodeKey.number), and leads to it for
// as long as it has not become another. Those for which that is not so are few.
type nodeTable struct {
	numbered map[uint64]*node
	strays   map[nodeKey]*node // those whose number is not the hash of their key, or leads to another
	most     int               // so many had numbered, since it was made
}

func newNodeTable() nodeTable {
	return nodeTable{numbered: make(map[uint64]*node), strays: make(map[nodeKey]*node)}
}

// nodeKey says what is behind a node: the image, or the new draft, with an id, and in
// which directory.
type nodeKey struct {
	uuid image.UUID
	odd  string // an id that is no UUID
	byID bool   // under .by-id
}

// keyOf returns the key in the root of the image, or the new draft, with an id.
func keyOf(id string) nodeKey {
	if u, ok := image.ParseUUID(id); ok {
		return nodeKey{uuid: u}
	}
	return nodeKey{odd: id}
}

// keyOfImage returns the key in the root of an image.
func keyOfImage(p image.Packed) nodeKey {
	if u, ok := p.UUID(); ok {
		return nodeKey{uuid: u}
	}
	return nodeKey{odd: p.ID()}
}

// fixed returns the key under .by-id.
func (k nodeKey) fixed() nodeKey {
	k.byID = true
	return k
}

// number is the inode number of a node that begins with this: a hash of the id, and of
// the name of the directory where that is not the root.
func (k nodeKey) number() uint64 {
	h := hashed(hashBegins)
	if k.byID {
		h = h.text(byIDName)
	}
	if k.odd != "" {
		return h.text(k.odd).inode()
	}
	for _, b := range k.uuid.Bytes() {
		h = h.with(b)
	}
	return h.inode()
}

// hashed is a hash under way: FNV-1a of 64 bits.
type hashed uint64

const hashBegins = 14695981039346656037

func (h hashed) with(b byte) hashed { return (h ^ hashed(b)) * 1099511628211 }

func (h hashed) text(s string) hashed {
	for i := range len(s) {
		h = h.with(s[i])
	}
	return h
}

// inode is the hash, but none of the numbers that have a meaning.
func (h hashed) inode() uint64 {
	for h <= fuse.FUSE_ROOT_ID || h == math.MaxUint64 { // go-fuse reserves the last
		h = h.with('+')
	}
	return uint64(h)
}

// inodeNumber is the inode number of what has a name and no id.
func inodeNumber(name string) uint64 { return hashed(hashBegins).text(name).inode() }

// of returns the node with a key, nil when there is none. A node whose entry has another
// one by now is not found.
func (t *nodeTable) of(k nodeKey) *node {
	if len(t.strays) > 0 {
		if n := t.strays[k]; n != nil {
			return n
		}
	}
	if n := t.numbered[k.number()]; n != nil && n.key == k && !n.parted {
		return n
	}
	return nil
}

// number returns the inode number of the node with a key, which there may yet have to be.
func (t *nodeTable) number(k nodeKey) uint64 {
	if len(t.strays) > 0 {
		if n := t.strays[k]; n != nil {
			return n.ino
		}
	}
	return k.number()
}

// freeNumber returns the inode number of a new node: the hash of its key, unless a node
// that began with it has meanwhile become another.
func (t *nodeTable) freeNumber(k nodeKey) uint64 {
	ino := k.number()
	for t.numbered[ino] != nil {
		ino = hashed(ino).with('+').inode()
	}
	return ino
}

// keep makes the node the one that its key leads to, and its number, if that leads to no
// other: while a node is forgotten, another may get it.
func (t *nodeTable) keep(n *node) {
	if t.numbered[n.ino] == nil {
		t.numbered[n.ino] = n
		t.most = max(t.most, len(t.numbered))
	}
	if t.astray(n) {
		t.strays[n.key] = n
	}
}

// astray reports whether the key of the node does not lead to it by its number.
func (t *nodeTable) astray(n *node) bool {
	return n.ino != n.key.number() || t.numbered[n.ino] != n
}

// rekey gives the node another key.
func (t *nodeTable) rekey(n *node, k nodeKey) {
	t.hide(n)
	n.key = k
	if !n.forgotten && t.astray(n) {
		t.strays[k] = n
	}
}

// hide makes the key of the node lead to it no more. (of sees to one that is not among
// the strays.)
func (t *nodeTable) hide(n *node) {
	if t.strays[n.key] == n {
		delete(t.strays, n.key)
	}
}

// shrinks is how many times smaller the table gets before it is made anew: a map keeps
// the room of what was deleted. It is as go-fuse does with its own.
const shrinks = 100

// drop takes the node out.
func (t *nodeTable) drop(n *node) {
	t.hide(n)
	if t.numbered[n.ino] == n {
		delete(t.numbered, n.ino)
	}
	if len(t.numbered)*shrinks < t.most {
		left := make(map[uint64]*node, len(t.numbered)) // a clone would keep the room, too
		maps.Copy(left, t.numbered)
		t.numbered, t.most = left, len(left)
	}
}

func (t *nodeTable) all() []*node {
	all := slices.Collect(maps.Values(t.numbered))
	for _, n := range t.strays {
		if t.numbered[n.ino] != n {
			all = append(all, n)
		}
	}
	return all
}
