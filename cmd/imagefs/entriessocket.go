package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

// Where the socket's HTTP server has what the entries stand for: all of them, line by
// line, and one, which the query names.
const (
	entriesPath = "/entries"
	entryPath   = "/entry"
	queryEntry  = "entry"
	queryID     = "id"
)

// entriesLine is one line of the answer to entriesPath. The last one has End or Error.
type entriesLine struct {
	Entry   *listed  `json:"entry,omitempty"`
	Pause   bool     `json:"pause,omitempty"` // it may be a while until the next one
	End     bool     `json:"end,omitempty"`
	Warning string   `json:"warning,omitempty"`
	Error   string   `json:"error,omitempty"`
	Code    exitCode `json:"code,omitempty"`
}

// entryAnswer is the answer to entryPath.
type entryAnswer struct {
	Image *described `json:"image,omitempty"`
	Error string     `json:"error,omitempty"`
	Code  exitCode   `json:"code,omitempty"`
}

// entries answers what the entries of a mount stand for.
type entries struct {
	catalog *catalog.Catalog
	hold    int                // see eachEntry
	cached  func() cachedBytes // as of now
	failure func(error) error  // gives an error its exit code
	log     *slog.Logger
}

// entries is what a mount answers with.
func (a *about) entries(log *slog.Logger) *entries {
	return &entries{
		catalog: a.rooms.catalog, hold: heldBack, log: log,
		failure: a.failure,
		cached: func() cachedBytes {
			held, service := a.rooms.cache.Held(), a.rooms.client.Service()
			return func(img image.Image) (int64, bool) { return held.Of(img.Key(service), img.Size), true }
		},
	}
}

// failure gives an error of the service its exit code.
func (a *about) failure(err error) error {
	return serviceFailure(err, a.config.Cloud, a.config.Endpoint)
}

// all streams every entry. It lasts as long as who asked reads, who may be a person with
// a pager, and ends with him: nothing is held meanwhile but a place in the listing.
func (s *entries) all(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	s.allow(control, time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriter(w)
	lines, cached := json.NewEncoder(out), s.cached()
	err := eachEntry(r.Context(), s.catalog, s.hold, entrySink{
		entry: func(e catalog.Entry) error {
			l := listedOf(e, cached)
			return lines.Encode(entriesLine{Entry: &l})
		},
		pause: func() error {
			if err := lines.Encode(entriesLine{Pause: true}); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
			return control.Flush()
		},
	})
	last := entriesLine{End: true, Warning: s.catalog.Stats().Warning}
	if err != nil {
		err = s.failure(err)
		last = entriesLine{Error: oneLine(err), Code: codeOf(err)}
	}
	if err := errors.Join(lines.Encode(last), out.Flush()); err != nil {
		s.log.Debug("who asked for the entries did not wait for all", "error", err)
	}
}

// allow lets an answer go on until then, the zero time for as long as it takes: the
// server's own bound is for what a daemon has in memory.
func (s *entries) allow(control *http.ResponseController, until time.Time) {
	if err := control.SetWriteDeadline(until); err != nil {
		s.log.Debug("an answer cannot last", "error", err)
	}
}

// one answers what one entry, or one id, stands for. The service may be asked for it,
// which the catalog bounds.
func (s *entries) one(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	s.allow(control, time.Time{})
	var a entryAnswer
	d, err := describe(r.Context(), s.catalog, r.FormValue(queryEntry), r.FormValue(queryID), s.cached())
	if err != nil {
		if !image.Is(err, image.NotFound) {
			err = s.failure(err)
		}
		a.Error, a.Code = oneLine(err), codeOf(err)
		if image.Is(err, image.NotFound) {
			a.Code = exitNoImage
		}
	} else {
		a.Image = &d
	}
	s.allow(control, time.Now().Add(askTimeout))
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(a); err != nil {
		s.log.Debug("who asked for an image did not wait for it", "error", err)
	}
}

// describe says all that is known of an entry or, where that is "", of an id.
func describe(ctx context.Context, c *catalog.Catalog, entry, id string, cached cachedBytes) (described, error) {
	if entry == "" {
		img, err := c.ByID(ctx, id)
		if err != nil {
			return described{}, err
		}
		return describedImage(listedImage(id, img, cached), img), nil
	}
	e, err := c.Lookup(ctx, entry)
	if err != nil {
		return described{}, err
	}
	return describedImage(listedOf(e, cached), e.Image.Unpack()), nil
}
