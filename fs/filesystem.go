package fs

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/imagefs/imagefs/image"
)

// Options are what a mount is told.
type Options struct {
	ReadOnly   bool
	AllowOther bool
	// WriteAllProjects lets images of other projects be changed.
	WriteAllProjects bool
	UID, GID         uint32 // owner that is shown where none was set
	Project          string // ours; "" when unknown
	Source           string // shown in the first column of /proc/mounts
	// Fresh is what new images begin with: visibility, tags and properties.
	Fresh image.New
	// Writeback answers a close when its bytes are on the local disk; the commit
	// follows behind.
	Writeback bool
	Behind    int // most commits behind at once; 0 is 1
	// Owed are drafts of earlier runs; the mount owns them from Mount on, also when
	// that fails.
	Owed []Owed
	Log  *slog.Logger

	waits waits // zero: the default
}

// FS is one mounted filesystem.
type FS struct {
	Rooms
	opts        Options
	tuning      tuning
	policy      policy
	log         *slog.Logger
	life        context.Context // ends with Server.Abort: never by an unmount
	root        *rootNode
	began       time.Time
	notifier    *notifier
	passthrough *passthrough
	writesPast  bool           // files may be written past the page cache; set by Init, then never changed
	settling    sync.WaitGroup // work that outlives its request: the owner is Server.Wait
	unsent      *unsent        // changes of attributes that the service does not have yet
	changes     atomic.Uint64  // counts our own changes of what the directory shows
	places      chan struct{}  // holds one element for each commit behind that is at work
	hurry       chan struct{}  // closed when the kernel's side is gone

	mu     sync.Mutex       // guards the fields below
	nodes  map[string]*node // by the id of the image, or of the new draft, behind them
	inodes map[uint64]*node
	// expected says since when somebody who wants to write is on the way to the node
	// of a key, because the old one is passed through.
	expected map[string]time.Time
	drafts   map[string]*draft // by the draft's id
	usage    usage
	open     int // open handles
}

func newFS(life context.Context, rooms Rooms, opts Options, how tuning) *FS {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.waits == (waits{}) {
		opts.waits = defaultWaits
	}
	f := &FS{
		Rooms: rooms, opts: opts, tuning: how, log: opts.Log, life: life, began: time.Now(),
		policy:   policy{readOnly: opts.ReadOnly, project: opts.Project, all: opts.WriteAllProjects},
		nodes:    make(map[string]*node),
		inodes:   make(map[uint64]*node),
		expected: make(map[string]time.Time),
		drafts:   make(map[string]*draft),
		places:   make(chan struct{}, max(1, opts.Behind)),
		hurry:    make(chan struct{}),
	}
	f.unsent = newUnsent(life, &f.settling, f.hurry)
	f.unsent.send, f.unsent.lost = f.sendAttributes, f.attributesLost
	f.notifier = newNotifier()
	f.passthrough = newPassthrough(rooms.Copies, f.log)
	f.root = &rootNode{fs: f}
	return f
}

// inodeNumber is a 64-bit hash of a node's key.
func inodeNumber(key string) uint64 {
	for {
		h := fnv.New64a()
		h.Write([]byte(key))                                // a hash never fails
		if ino := h.Sum64(); ino > 1 && ino != ^uint64(0) { // the root is 1; go-fuse reserves the last
			return ino
		}
		key += "+"
	}
}

// known returns the node of an entry, nil when the kernel knows none.
func (f *FS) known(e Entry) *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.knownLocked(e)
}

func (f *FS) knownLocked(e Entry) *node {
	if d := f.drafts[e.Draft]; d != nil {
		return d.node // its image's id may be changing just now
	}
	if e.Image.ID() == "" {
		return nil // its draft has just ended
	}
	if child := f.root.GetChild(e.Name); child != nil {
		// go-fuse can revive a node that it has just told us to forget, when a lookup
		// of it is under way. Two nodes of one image would part.
		if n, ok := child.Operations().(*node); ok && n.key == e.Image.ID() && !n.parted {
			return n
		}
	}
	return f.nodes[e.Image.ID()]
}

// nodeOf returns the node of an entry, and makes it when the kernel knows none; nil
// for a draft that has just ended without an image. A node that is known takes the
// newer record.
func (f *FS) nodeOf(e Entry) *node {
	f.mu.Lock()
	n := f.knownLocked(e)
	switch {
	case n == nil && e.Image.ID() == "":
		f.mu.Unlock()
		return nil
	case n == nil:
		n = f.newNodeLocked(e.Image.ID(), "")
	default:
		f.keepLocked(n)
	}
	f.mu.Unlock()
	n.found(e.Image.Unpack())
	return n
}

// fixedNodeOf returns the node of the image under .by-id, the given directory.
func (f *FS) fixedNodeOf(img image.Image, directory *gofs.Inode) *node {
	f.mu.Lock()
	n := f.nodes[byIDName+img.ID]
	if child := directory.GetChild(img.ID); child != nil { // as in knownLocked
		if alive, ok := child.Operations().(*node); ok {
			n = alive
		}
	}
	if n == nil {
		n = f.newNodeLocked(img.ID, byIDName)
		n.fixed = true
	} else {
		f.keepLocked(n)
	}
	f.mu.Unlock()
	n.found(img)
	return n
}

// newNodeLocked makes the node of the image or of the new draft with the given id,
// in the named directory (the root's is "").
func (f *FS) newNodeLocked(id, directory string) *node {
	n := &node{fs: f, ino: f.freeInodeLocked(directory + id), key: directory + id, img: image.Image{ID: id}}
	f.keepLocked(n)
	return n
}

// keepLocked makes the node the one that its key and its number lead to.
func (f *FS) keepLocked(n *node) {
	f.nodes[n.key], f.inodes[n.ino] = n, n
	n.forgotten = false
}

// inodeOf is the inode number that an entry has, or will have when it is looked up.
func (f *FS) inodeOf(e Entry) uint64 {
	if n := f.known(e); n != nil {
		return n.ino
	}
	if e.Image.ID() == "" {
		return inodeNumber(e.Draft)
	}
	return inodeNumber(e.Image.ID())
}

// freeInodeLocked returns the inode number of a new node: the hash of its key,
// unless a node that began with this image has meanwhile been given another.
func (f *FS) freeInodeLocked(key string) uint64 {
	for {
		if ino := inodeNumber(key); f.inodes[ino] == nil {
			return ino
		}
		key += "+"
	}
}

// moved records that the node is now behind the image with the given id.
func (f *FS) moved(n *node, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes[n.key] == n {
		delete(f.nodes, n.key)
	}
	n.key = id
	if !n.forgotten {
		f.nodes[id] = n
	}
}

// allNodes returns every node that the kernel knows.
func (f *FS) allNodes() []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.inodes))
}

// forget drops a node that the kernel has forgotten.
func (f *FS) forget(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.forgotten = true
	if f.nodes[n.key] == n {
		delete(f.nodes, n.key)
	}
	if f.inodes[n.ino] == n {
		delete(f.inodes, n.ino)
	}
}

// OpenHandles is the number of files open now.
func (f *FS) OpenHandles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

func (f *FS) countHandle(by int) {
	f.mu.Lock()
	f.open += by
	f.mu.Unlock()
}

// fail logs why an operation failed and returns its errno. What a user does every
// day (a name that is not there, Ctrl-C) is not worth a line.
func (f *FS) fail(op string, err error, attrs ...any) error {
	if err == nil || errors.Is(err, errLookAgain) {
		return err
	}
	level := slog.LevelWarn
	switch image.KindOf(err) {
	case image.NotFound, image.Interrupted, image.Exists, image.ReadOnly:
		level = slog.LevelDebug
	}
	f.log.Log(context.Background(), level, op+" failed", append(attrs, "error", err)...)
	return err
}

// stable returns the identity of a regular file with this inode number.
func stable(ino uint64) gofs.StableAttr { return gofs.StableAttr{Mode: modeRegular, Ino: ino} }
