package disk

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"github.com/imagefs/imagefs/image"
)

// Options of a Store.
type Options struct {
	Dir       string // absolute; of this service's cache alone; made if missing
	Limit     int64  // most bytes of block data on disk
	BlockSize int64  // bytes, a multiple of 4096
	// OnMismatch is called by the verifying goroutine, without a lock, after the
	// blocks of an image were dropped because together they do not have its hash.
	// It must not call Close. May be nil.
	OnMismatch func(image.Key)
	Logger     *slog.Logger // nil: no log
}

// Store is the disk cache of one service. It is safe for concurrent use.
type Store struct {
	blockSize  int64
	limit      int64 // bytes
	onMismatch func(image.Key)
	log        *slog.Logger
	sys        system
	root       *os.Root
	lock       *os.File // holds the flock
	idle       bool     // others may ask for the directory
	clock      clock
	room       room

	closed atomic.Bool
	cancel context.CancelFunc // ends the verifier
	wg     sync.WaitGroup     // the verifier
	wake   chan struct{}      // something was added to queue; holds one

	// Not changed after Open.
	device    uint64          // that the files lie on
	left      map[string]bool // names of files that are left alone
	leftBytes int64           // that they take on disk
	useless   int             // images that were removed

	mu        sync.Mutex // guards the fields below, contents.refs and contents.queued
	images    map[identity]*contents
	open      map[*contents]struct{} // have open files
	queue     []*contents            // to be verified
	verifying bool                   // one that has left queue
	reading   map[*reading]struct{}  // under way

	counts counts
}

// counts are totals since Open, but for blocks and pinned, which are current.
type counts struct {
	blocks, pinned                                        atomic.Int64
	read, written, evicted, damaged, verified, mismatched atomic.Int64
}

// Open takes the directory for this process, loads what is cached there and drops
// what is not usable. The error wraps ErrInUse when another process has the
// directory, and ErrAsked where that will give it free. The caller closes the Store.
func Open(o Options) (*Store, error) { return open(o, realSystem()) }

// OpenIdle is Open for who looks at what a mount has left, or drops it: nothing is evicted,
// whatever the limit, and only Examine verifies. Until Close a mount finds the directory in
// use, and asks for it: the caller looks at Asked while it works for long. The error is of kind NotFound where no Store ever had the directory: it is not
// made private, as Open would, and nothing in it is changed.
func OpenIdle(o Options) (*Store, error) {
	if err := recognise(o.Dir); err != nil {
		return nil, &image.Error{Op: "open disk cache " + o.Dir, Kind: image.NotFound, Err: err}
	}
	s, err := take(o, realSystem(), true)
	if err != nil {
		return nil, err
	}
	s.room.ceiling.Store(math.MaxInt64)
	s.cancel = func() {}
	return s, nil
}

func open(o Options, sys system) (*Store, error) {
	s, err := take(o, sys, false)
	if err != nil {
		return nil, err
	}
	s.measure()
	if s.room.used.Load() > s.room.ceiling.Load() {
		s.makeRoom(0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.verifyAll(ctx) })
	return s, nil
}

// take locks the directory and loads what is there.
func take(o Options, sys system, idle bool) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BlockSize <= 0 || o.BlockSize%chargeUnit != 0 {
		return nil, refused(o.Dir, "the block size must be a multiple of 4096")
	}
	root, lock, err := openDir(o.Dir, idle)
	if err != nil {
		return nil, err
	}
	st, err := stat(lock)
	if err != nil {
		return nil, errors.Join(unusable(o.Dir, err), lock.Close(), root.Close())
	}
	s := &Store{
		device: st.Dev, blockSize: o.BlockSize, limit: max(0, o.Limit), onMismatch: o.OnMismatch, log: o.Logger,
		sys: sys, root: root, lock: lock, idle: idle && isMarked(root), // not so on a full disk: others find it in use

		clock:  clock{now: sys.now, step: max(o.BlockSize, o.Limit/stampsPerLimit)},
		wake:   make(chan struct{}, 1),
		left:   map[string]bool{},
		images: map[identity]*contents{}, open: map[*contents]struct{}{}, reading: map[*reading]struct{}{},
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(unusable(o.Dir, err), lock.Close(), root.Close())
	}
	return s, nil
}

// Image returns a reference to the image's blocks. The caller closes it. No file
// is opened before it is needed.
func (s *Store) Image(key image.Key, img image.Image) *Image {
	id := identity{key: key, size: img.Size}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.images[id]
	if c == nil {
		c = s.newContents(id, img.Digest())
		s.images[id] = c
	}
	c.refs++
	return &Image{of: c, wrong: c.wrong.Load()}
}

// Close ends the verifier, waits for it, writes what only memory knows of the
// blocks' use, and gives the directory free. Reads and writes that come later find
// nothing. It comes after the release of every pinned file, and may be called more
// than once.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.cancel()
	s.wg.Wait()
	for _, c := range s.all() {
		c.io.Lock()
		c.closeFiles()
		c.io.Unlock()
	}
	return errors.Join(s.root.Close(), s.lock.Close())
}

// all returns the images that the store knows of.
func (s *Store) all() []*contents {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*contents, 0, len(s.images))
	for _, c := range s.images {
		list = append(list, c)
	}
	return list
}

// Stats is a snapshot for status and metrics.
type Stats struct {
	Bytes      int64 // on disk, as they count against the limit, with what is left alone
	Useless    int   // images that Open has removed, for their files were damaged or of another block size
	Left       int   // images that Open has left alone
	Limit      int64 // bytes
	Images     int   // images that are open or have blocks on disk
	Blocks     int64 // on disk
	Pinned     int64 // files handed out by Pin and not released
	Read       int64 // bytes that were read and had their checksum
	Written    int64 // bytes
	Evicted    int64 // blocks removed to make room
	Damaged    int64 // blocks found damaged and dropped
	Verified   int64 // images whose hash was right
	Mismatched int64 // images whose hash was wrong
	Queued     int   // images to be verified, with the one being verified
}

// Stats returns the current figures; the totals are since Open.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	images, queued := len(s.images), len(s.queue)
	if s.verifying {
		queued++
	}
	s.mu.Unlock()
	n := &s.counts
	return Stats{
		Bytes: s.room.used.Load(), Useless: s.useless, Left: len(s.left), Limit: s.limit, Images: images, Queued: queued,
		Blocks: n.blocks.Load(), Pinned: n.pinned.Load(), Read: n.read.Load(), Written: n.written.Load(),
		Evicted: n.evicted.Load(), Damaged: n.damaged.Load(), Verified: n.verified.Load(), Mismatched: n.mismatched.Load(),
	}
}
