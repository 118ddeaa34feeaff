package catalog

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/imagefs/imagefs/image"
)

// Query chooses images of the listing; the zero value is all of it.
type Query struct {
	Name *string // only images of this name, byte for byte
	// UpdatedSince, unless it is zero, chooses the images whose updated_at is this or
	// later, by the service's clock: those of the listing, and those that have been
	// hidden, for they have left it.
	UpdatedSince time.Time
}

// Lister lists images as the service lists them with the mount's filters.
type Lister interface {
	// ListImages yields at least every image that the query chooses, page by page
	// (it may yield others: a filter is a hint). An image may come twice. The pages
	// belong to yield. It ends early with yield's error, and when ctx does. It is
	// whole where no record was left out because it could not be understood.
	ListImages(ctx context.Context, q Query, yield func([]image.Image) error) (whole bool, err error)
}

// Records reads and changes single records. Each method returns when the service
// has answered: a success has happened.
type Records interface {
	Get(ctx context.Context, id string) (image.Image, error)
	Update(ctx context.Context, id string, changes []image.Change) (image.Image, error)
}

// Remover takes images out of the listing. When Remove returns nil that has
// happened, whether the image is deleted or hidden; by is the id of the image that
// takes its place, "" for none. As Records.
type Remover interface {
	Remove(ctx context.Context, id, by string) error
}

// Sharer reads and changes with which projects an image is shared: the members
// of a shared image. As Records.
type Sharer interface {
	Members(ctx context.Context, id string) ([]image.Member, error)
	AddMember(ctx context.Context, id, project string) error
	RemoveMember(ctx context.Context, id, project string) error
}

// Draft is a file being written that lies over the images.
type Draft interface {
	ID() string // never changes, unique in one catalog
}

// DefaultTTL is how old knowledge of the service may be unless Options say
// otherwise: a listing of 1000 images takes the service half a second.
const DefaultTTL = 30 * time.Second

// Options are what New needs. Lister, Records, Remover and Sharer must be
// set.
type Options struct {
	Lister  Lister
	Records Records
	Remover Remover
	Sharer  Sharer
	// Journals may be nil, where no rename has one.
	Journals Journals
	// Project is whose images are ours; "" when it is not known: all are.
	Project string
	// Filter says which images the root shows; what Lister lists is only a hint of it.
	Filter image.Filter
	// TTL is how old knowledge of the service may be; 0 is DefaultTTL.
	TTL time.Duration
	// Now is the time by the service's clock, as far as it is known; nil is time.Now.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
	// OnChange, if not nil, is told of each entry that the kernel may remember
	// and that now stands for another image, another state of its image, or
	// nothing, for a reason other than a change that was asked of this catalog
	// at this very entry. It is called from one goroutine, never under a lock;
	// Close waits for it. An entry that appears where none was is not told.
	OnChange func(entry string)
}

// Entry is what the directory shows under one name.
type Entry struct {
	Name string
	// Image is what the entry stands for. With a Draft it is the image that is
	// known to lie under it; its ID is "" where none is.
	Image image.Packed
	Draft Draft // nil, or what lies over the image
}

// Catalog is the directory. All methods may be called at once.
type Catalog struct {
	lister   Lister
	records  Records
	remover  Remover
	sharer   Sharer
	journals Journals
	project  string
	filter   image.Filter
	ttl      time.Duration
	log      *slog.Logger
	serial   serial // changes of one image
	// renaming puts renames of one image over others, and what finishes them, in order.
	renaming serial
	notify   *notifier
	ctx      context.Context // of every request that outlives its caller
	cancel   context.CancelFunc
	running  sync.WaitGroup // requests and the notifier

	now func() time.Time

	mu        sync.Mutex // guards the fields below
	dir       *directory
	shown     *snapshot     // what List showed last; nil before the first
	stale     stale         // what has changed since then
	listed    since         // when the refresh began that dir is as old as; zero before the first pass
	passed    since         // when the last whole pass began that came to its end
	partial   bool          // a record was left out of the last pass, or of a delta since: what is missing may be there
	tried     time.Time     // when the last pass began, whatever became of it
	took      time.Duration // how long the one of passed took
	wasted    time.Duration // how long the last pass took, if it failed; else zero
	asked     time.Time     // when the last delta began
	deltaTook time.Duration // how long it took
	refusedAt time.Time     // when the service refused a delta; zero after one that it answered
	newest    time.Time     // the latest updated_at of any record, by the service's clock
	bound     time.Time     // from which updated_at on the next delta asks
	walk      int           // lookups that cost a request since listed, or since the first pass began
	known     *simplelru.LRU[string, since]
	single    *simplelru.LRU[string, lookedUp]
	asking    map[string]*request // groups being asked for, by base entry
	pass      *pass               // under way; nil if none
	delta     *request            // under way; nil if none
	seq       uint64              // counts beginnings of requests and own changes
	begun     map[uint64]int      // sequence numbers at which the requests under way began
	own       map[string]ownChange
	left      map[string]uint64 // images that a request found to be gone, by when it began; kept as own is
	// unfinished are the renames over another image that have begun and not ended: under
	// way, or not answered.
	unfinished map[string]begun // by the id of the journal
	// ended says of journals that have not been told Settled that their rename has ended
	// all the same. (A few, and for ever.)
	ended   map[string]outcome
	drafts  map[string]*overlay // by entry
	placed  map[string]*overlay // by draft id
	outage  *outage             // nil while the service answers
	refused bool                // the service answered the last request, and refused it
	counts  counts
}

// since says when the request that brought some knowledge began.
type since struct {
	at  time.Time
	seq uint64
}

// request is one request, or series of requests, that callers wait for.
type request struct {
	seq     uint64        // when it began; of a group's
	done    chan struct{} // closed when the fields below are final
	err     error
	unclear bool // only a listing can tell; of a delta: only a pass
}

// Most groups (4096, about 3 MiB) and single records (1024) that are remembered
// apart from the listing: a shell's or a build's working set.
const (
	maxKnown  = 4096
	maxSingle = 1024
)

// New returns a catalog that knows nothing yet. Close ends it.
func New(opts Options) *Catalog {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Catalog{
		lister: opts.Lister, records: opts.Records, remover: opts.Remover, sharer: opts.Sharer, journals: opts.Journals, project: opts.Project, filter: opts.Filter, ttl: opts.TTL, now: opts.Now, log: opts.Logger,
		ctx: ctx, cancel: cancel, notify: newNotifier(opts.OnChange),
		dir:    newDirectory(opts.Project, opts.Filter),
		asking: map[string]*request{}, begun: map[uint64]int{}, own: map[string]ownChange{}, left: map[string]uint64{}, unfinished: map[string]begun{}, ended: map[string]outcome{},
		drafts: map[string]*overlay{}, placed: map[string]*overlay{},
		bound: time.Unix(0, 0),
	}
	if c.ttl <= 0 {
		c.ttl = DefaultTTL
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.known = mustLRU(maxKnown, c.evictGroup)
	c.single = mustLRU[string, lookedUp](maxSingle, nil)
	c.running.Go(func() { c.notify.run(ctx) })
	return c
}

func mustLRU[K comparable, V any](size int, evicted func(K, V)) *simplelru.LRU[K, V] {
	lru, err := simplelru.NewLRU(size, evicted)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return lru
}

// Close ends every request under way and waits for them and for OnChange. The
// catalog must not be used afterwards.
func (c *Catalog) Close() {
	c.cancel()
	c.running.Wait()
}

// wait waits for a shared request with the waiter's own ctx.
func (c *Catalog) wait(ctx context.Context, r *request) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wrap gives an error of the service or of a context the operation and entry.
func wrap(op, what string, err error) error {
	if err == nil {
		return nil
	}
	return &image.Error{Op: op, Image: what, Kind: image.KindOf(err), Err: err}
}

func notFound(op, what string) error {
	return &image.Error{Op: op, Image: what, Kind: image.NotFound}
}
