package client

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	// listRestarts bounds how often in a row a listing goes on without having
	// found anything new, because the image at a page's end is gone: a listing
	// that is overtaken this often is of a service where something else is wrong.
	listRestarts = 8
	// listResumes is how many of these go on from the last record that was seen;
	// then the listing begins again.
	listResumes = 2
)

// listBounds are what one listing may be before it counts as one without an end.
type listBounds struct {
	pages  int
	images int   // in all of them
	bytes  int64 // of all of them
}

// defaultListBounds are ten times the images of the largest clouds, at a usual length of
// their records and a half more, also where a service gives no more than 16 a page.
var defaultListBounds = listBounds{pages: 1 << 16, images: 1 << 20, bytes: 1 << 30}

// List hands all images that pass the filter to yield, page by page, each id
// once, the oldest first: what is created meanwhile comes at the end. The next page
// is on its way while yield works; no more than that one. An error of yield ends the
// listing and is returned as it is. A record that cannot be read is left out with a
// line in the log, and the listing is not whole; who asks for a name gets
// UnexpectedAnswer, lest it seem to be free. Kinds: those of every request.
func (c *Client) List(ctx context.Context, f Filter, yield func([]image.Image) error) (whole bool, err error) {
	l := listing{client: c, filter: f, yield: yield, seen: make(map[image.UUID]struct{}), ordered: true}
	for stuck := 0; ; {
		found := len(l.seen)
		overtaken, err := l.run(ctx)
		if !overtaken {
			return !l.leftOut, err
		}
		if len(l.seen) > found {
			stuck = 0
		} else if stuck++; stuck > listRestarts {
			return false, err
		}
		l.from = l.last
		if stuck > listResumes || !l.ordered {
			l.from, l.ordered = time.Time{}, true
		}
		l.last = l.from
		c.log.Info("the image at the end of a page of the listing is gone; it goes on from before", "from", l.from, "error", err)
	}
}

// listing is one call of List.
type listing struct {
	client *Client
	filter Filter
	yield  func([]image.Image) error
	seen   map[image.UUID]struct{}
	pages  int   // that were read
	bytes  int64 // of them
	// from is the created_at that the requests begin with; zero: the first.
	from time.Time
	// last is the created_at of the last record that was seen.
	last time.Time
	// leftOut: a record could not be read.
	leftOut bool
	// ordered: every record was created at the time of the one before it, or later.
	// Otherwise what was not seen may be older than last.
	ordered bool
}

// run reads the listing from l.from to its end and yields what is not in l.seen. The
// answers 400 and 403 to a page after the first mean that its marker is gone, or not
// shown any more: the listing was overtaken.
func (l *listing) run(ctx context.Context) (overtaken bool, err error) {
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	followed := make(map[string]struct{})
	now := l.ask(ctx, &asking, "")
	for {
		<-now.done
		if now.err != nil {
			status := statusOf(now.err)
			return now.marker != "" && (status == http.StatusBadRequest || status == http.StatusForbidden), now.err
		}
		followed[now.marker] = struct{}{}
		var ahead *asked
		guess := guessMarker(now.body)
		if _, again := followed[guess]; !again {
			ahead = l.ask(ctx, &asking, guess)
		}
		fresh, link, err := l.read(now.body)
		if err == nil {
			err = l.bounded()
		}
		if err != nil {
			return false, now.fail(err)
		}
		if len(fresh) > 0 {
			if err := l.yield(fresh); err != nil {
				return false, err
			}
		}
		if link == "" {
			return false, nil
		}
		next, err := marker(link)
		if _, again := followed[next]; err != nil || again {
			return false, now.fail(fmt.Errorf("the listing has no end: a page leads back to %s", oneLine(link)))
		}
		if ahead == nil || ahead.marker != next {
			ahead = l.ask(ctx, &asking, next)
		}
		now = ahead
	}
}

// read reads a page: what of it is new, and the link to the next one.
func (l *listing) read(body []byte) (fresh []image.Image, link string, err error) {
	l.pages++
	l.bytes += int64(len(body))
	var odd error
	p, err := parsePage(body, func(img image.Image, id image.UUID, err error) {
		if err != nil {
			odd, l.leftOut = err, true
			l.client.log.Warn("a record of the listing is not understood and left out", "error", err)
			return
		}
		l.ordered = l.ordered && !img.CreatedAt.IsZero() && !img.CreatedAt.Before(l.last)
		l.last = img.CreatedAt
		if _, known := l.seen[id]; known {
			return
		}
		l.seen[id] = struct{}{}
		if l.filter.Name == nil || *l.filter.Name == img.Name {
			fresh = append(fresh, img)
		}
	})
	if err == nil && odd != nil && l.filter.Name != nil {
		return nil, "", odd // it may be the one that was asked for
	}
	return fresh, p.next, err
}

// bounded says that a listing has no end where it is longer than any can be.
func (l *listing) bounded() error {
	most := l.client.bounds
	if l.pages > most.pages || len(l.seen) > most.images || l.bytes > most.bytes {
		return fmt.Errorf("the listing has no end: after %d pages with %d bytes and %d images another follows", l.pages, l.bytes, len(l.seen))
	}
	return nil
}

// asked is a request for a page.
type asked struct {
	*request
	marker string // behind which the page begins; "" for the first
	done   chan struct{}
	body   []byte // this and err are set when done is closed
	err    error
}

// ask sends the request for a page. The goroutine ends with its answer, or with ctx.
func (l *listing) ask(ctx context.Context, asking *sync.WaitGroup, marker string) *asked {
	query := l.filter.query()
	if !l.from.IsZero() {
		query.Set("created_at", "gte:"+l.from.Format(filterTime))
	}
	if marker != "" {
		query.Set("marker", marker)
	}
	a := &asked{marker: marker, done: make(chan struct{}), request: &request{
		op: opList, method: http.MethodGet, path: "/images", query: query, limit: maxPage, ok: []int{http.StatusOK},
	}}
	asking.Go(func() {
		defer close(a.done)
		var got answer
		got, a.err = l.client.fetch(ctx, a.request, idempotent)
		a.body = got.body
	})
	return a
}

// fail makes the error of an answer that is no page of a listing.
func (a *asked) fail(cause error) error { return a.request.fail(image.UnexpectedAnswer, cause) }
