package commit

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// DefaultUploads is how many uploads run at once unless told: each hashes with a
// core of its own, and a service's own hashing is slower than one link.
const DefaultUploads = 4

// Defaults are given to every new image that replaces none.
type Defaults struct {
	Visibility image.Visibility // "": the service's choice
	Properties map[string]string
	Tags       []string
}

// Options of a Committer. Service and Bases must be set; Names and Renames may be nil,
// where there is no directory.
type Options struct {
	Service  Service
	Names    Names
	Renames  Renames
	Bases    Bases
	Trash    *Trash // takes away what is replaced; nil: that is deleted at once
	Defaults Defaults
	Uploads  int // most uploads at once; 0: a default
	// Settle is how long the service may take to settle a record after the last byte: it
	// hashes while it receives, but some stores copy afterwards. 0: a default.
	Settle   time.Duration
	HashAlgo string       // os_hash_algo of some image of the service; "": none is known
	Logger   *slog.Logger // nil: no log
}

// Committer turns drafts into images. Its methods may be called by several
// goroutines at once; two commits of one draft follow each other. It starts no
// goroutine but those that hash what an upload sends.
type Committer struct {
	service  Service
	names    Names
	renames  Renames
	bases    Bases
	trash    *Trash
	defaults Defaults
	settle   time.Duration
	uploads  *semaphore.Weighted
	behind   *semaphore.Weighted // of them, those that nobody waits for: a close that somebody waits for finds a place
	log      *slog.Logger
	board    board
	algo     atomic.Pointer[string] // os_hash_algo of the last image; nil: not known

	published, failed, sent atomic.Int64 // see Stats
}

// Stats are totals since New.
type Stats struct {
	Published int64 // commits that made an image
	Failed    int64 // commits that failed and kept their draft; each try of one behind an answered close is one
	Sent      int64 // bytes handed to the transport, those of failed tries included
}

// Stats returns the current figures.
func (c *Committer) Stats() Stats {
	return Stats{Published: c.published.Load(), Failed: c.failed.Load(), Sent: c.sent.Load()}
}

// New makes a Committer. The maps and slices of o must not be changed any more.
func New(o Options) *Committer {
	if o.Uploads <= 0 {
		o.Uploads = DefaultUploads
	}
	if o.Settle <= 0 {
		o.Settle = defaultSettle
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Names == nil {
		o.Names = nobody{}
	}
	if o.Renames == nil {
		o.Renames = nobody{}
	}
	if o.Trash == nil {
		o.Trash = NewTrash(TrashOptions{Records: o.Service})
	}
	c := &Committer{
		service: o.Service, names: o.Names, renames: o.Renames, bases: o.Bases, trash: o.Trash, defaults: o.Defaults, settle: o.Settle,
		uploads: semaphore.NewWeighted(int64(o.Uploads)), behind: semaphore.NewWeighted(int64(max(o.Uploads-1, 1))), log: o.Logger,
	}
	c.expect(o.HashAlgo, false)
	return c
}

// nobody is where there is no directory.
type nobody struct{}

func (nobody) Committed(string, image.Image, string) {}
func (nobody) Gone(string)                           {}
func (nobody) Doubt(string, string)                  {}

func (nobody) FinishBefore(context.Context, string) error { return nil }

// Active lists the commits under way, oldest first.
func (c *Committer) Active() []Progress { return c.board.list() }

// Commit makes the draft's present bytes an image, as doc.go tells, and returns
// its record. A draft that is not dirty, or was unlinked, is left alone: the zero
// Image and no error.
//
// ctx ends it at any time before the image is published; from then on it goes on
// to the end, in a bounded time. An error is an *image.Error and means that the
// draft is kept, its journal says why, and what was made in the service is
// removed again (or named in the journal, where that failed too).
func (c *Committer) Commit(ctx context.Context, d *staging.Draft) (image.Image, error) {
	if !d.Dirty() || d.Record().Unlinked {
		return image.Image{}, nil
	}
	return c.commit(ctx, d, job{})
}

// CommitEmpty makes a record without data (status queued) of a draft that ends
// with no byte ever written: an empty file. A draft that replaces an image does
// so with the empty one. Calling it again, or on a draft that was committed, does
// nothing: the zero Image and no error. A draft with bytes is committed as by
// Commit.
func (c *Committer) CommitEmpty(ctx context.Context, d *staging.Draft) (image.Image, error) {
	if rec := d.Record(); rec.Unlinked || !d.Dirty() && settled(rec) {
		return image.Image{}, nil
	}
	return c.commit(ctx, d, job{always: true})
}

// Behind commits a draft whose close was answered before (staging.Accept), also an
// empty one. When everything is uploaded and checked it calls turn, and publishes
// what it made only if that returns nil: name and attributes are those that the
// draft has then. On an error the draft stays owed, and the next Behind begins
// anew; whoever calls it tells of the failure (image.Quietly).
func (c *Committer) Behind(ctx context.Context, d *staging.Draft, turn func(context.Context) error) (image.Image, error) {
	rec := d.Record()
	switch {
	case rec.Unlinked:
		return image.Image{}, nil
	case rec.State == staging.StateFailed && !rec.Accepted:
		return image.Image{}, wrap(rec.Name, &image.Error{Op: "commit behind", Image: rec.Name, Kind: image.Stale, Err: image.ErrDeletedSince})
	}
	return c.commit(image.Quietly(ctx), d, job{always: true, turn: turn})
}

// job is what one commit is told.
type job struct {
	always bool                        // also a draft that is not dirty
	owed   bool                        // a failure that passes leaves the commit owed
	turn   func(context.Context) error // called before anything shows; nil: nobody waits
}

// commit runs one commit between BeginCommit and End.
func (c *Committer) commit(ctx context.Context, d *staging.Draft, j job) (image.Image, error) {
	ctx = image.Patiently(ctx) // a failure costs the upload
	rec := d.Record()
	prog := &progress{now: Progress{Draft: d.ID(), Path: d.Path(), Name: rec.Name, Phase: Waiting, Size: d.Size(), Since: time.Now(), Behind: j.turn != nil || j.owed}}
	c.board.add(prog)
	defer c.board.remove(prog)

	snap, err := d.BeginCommit(ctx)
	if d.Unlinked() {
		if err == nil {
			snap.End(false)
		}
		return image.Image{}, nil
	}
	if err != nil {
		err = wrap(rec.Name, cause(ctx, err))
		if removal(ctx) {
			c.log.Info(givenUp, "name", rec.Name, "draft", d.ID())
			return image.Image{}, err
		}
		c.log.Log(ctx, image.FailureLevel(ctx, slog.LevelError), "commit could not begin; the draft is kept in staging", "name", rec.Name, "draft", d.ID(),
			"kind", image.KindOf(err).String(), "error", err, "data", d.Path(), "next", "its bytes wait there; a new write and close begins again")
		return image.Image{}, err
	}
	committed := false
	defer func() { snap.End(committed) }()

	rec = d.Record() // another commit may have ended while this one waited
	if rec.Unlinked || !d.Dirty() && (!j.always || settled(rec)) {
		committed = !d.Dirty()
		return image.Image{}, nil
	}
	prog.set(func(p *Progress) { p.Name, p.Size = rec.Name, snap.Size() })
	r := &run{
		c: c, d: d, snap: snap, rec: rec, prog: prog, log: c.log.With("name", rec.Name, "draft", d.ID()),
		owed: j.owed, turn: j.turn, used: rec.Image != "", letGo: func() { snap.End(false) },
	}
	img, err := r.do(ctx)
	switch {
	case err != nil && (errors.Is(err, errUnlinked) || d.Unlinked()):
		return image.Image{}, r.dropped(ctx)
	case err != nil:
		if !removal(ctx) && !shutdown(ctx) {
			c.failed.Add(1)
		}
		return image.Image{}, r.failed(ctx, err)
	}
	c.published.Add(1)
	committed = true
	return img, nil
}

// settled reports a clean draft whose image exists: it was committed, or stands
// for a queued record into which nothing was written, and which no commit has left made ready.
func settled(rec staging.Record) bool {
	return rec.State == staging.StateCommitted || rec.Into != "" && rec.Image == ""
}

// wrap makes any error the *image.Error that Commit returns. An image that
// somebody removed meanwhile is not a missing file to the one who closes: it is
// stale.
func wrap(name string, err error) error {
	kind := image.KindOf(err)
	if kind == image.NotFound {
		kind = image.Stale
	}
	return &image.Error{Op: "commit", Image: name, Kind: kind, Err: err}
}
