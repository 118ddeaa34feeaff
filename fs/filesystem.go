package fs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

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
	// AtExit is for how long a program that has ended without closing its files is held by
	// their commits; 0: as long as these take.
	AtExit time.Duration
	// Owed are drafts of earlier runs; the mount owns them from Mount on, also when
	// that fails.
	Owed []Owed
	Log  *slog.Logger
	// Observe hears of what the kernel is answered; nil: nobody does.
	Observe Observer

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
	generation  atomic.Uint32  // of the last node that go-fuse got
	places      chan struct{}  // holds one element for each commit behind that is at work
	hurry       chan struct{}  // closed when the kernel's side is gone

	mu    sync.Mutex // guards the fields below
	nodes nodeTable
	// expected says since when somebody who wants to write is on the way to the node
	// of a key, because the old one is passed through.
	expected map[nodeKey]time.Time
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
		nodes:    newNodeTable(),
		expected: make(map[nodeKey]time.Time),
		drafts:   make(map[string]*draft),
		places:   make(chan struct{}, max(1, opts.Behind)),
		hurry:    make(chan struct{}),
	}
	f.unsent = newUnsent(life, &f.settling, f.hurry)
	f.unsent.send, f.unsent.lost = f.sendAttributes, f.attributesLost
	f.notifier = newNotifier()
	f.passthrough = newPassthrough(rooms.Copies, f.log)
	f.generation.Store(rand.Uint32())
	f.root = &rootNode{fs: f}
	return f
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

// failOpen is fail for an operation on an open handle, and returns its errno: an image
// that is gone is ESTALE there, as on NFS, and no everyday matter.
func (f *FS) failOpen(op string, err error, attrs ...any) syscall.Errno {
	if image.Is(err, image.NotFound) {
		err = &image.Error{Op: op, Kind: image.Stale, Err: err}
	}
	return errnoOf(f.fail(op, err, attrs...))
}

// fail is FS.fail for an operation on the node. Its line names the entry, for an id
// is not what people look for; "" is one that has been removed.
func (n *node) fail(op string, err error, attrs ...any) error {
	if err == nil {
		return nil
	}
	entry, _ := n.Parent()
	return n.fs.fail(op, err, append(attrs, "entry", entry)...)
}

// failOpen is FS.failOpen for an operation on the node, as fail.
func (n *node) failOpen(op string, err error, attrs ...any) syscall.Errno {
	if err == nil {
		return 0
	}
	entry, _ := n.Parent()
	return n.fs.failOpen(op, err, append(attrs, "entry", entry)...)
}
