package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/web"
)

// pages lists the pages that a test sends.
type pages struct{ in chan any } // a []image.Image, or an error; closed at the end

func (p pages) ListImages(ctx context.Context, _ catalog.Query, yield func([]image.Image) error) (bool, error) {
	for {
		select {
		case page, ok := <-p.in:
			if err, failed := page.(error); failed || !ok {
				return true, err
			}
			if err := yield(page.([]image.Image)); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

const ourProject = "p"

// numbered is an image of ours, the older the smaller the number.
func numbered(n int, name string) image.Image {
	return image.Image{
		ID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n), Name: name, Status: image.StatusActive, Owner: ourProject,
		Visibility: image.VisibilityShared, Size: int64(n), CreatedAt: time.Unix(int64(n), 0),
	}
}

// newEntries are those of a catalog of the pages.
func newEntries(t *testing.T, hold int) (pages, *entries) {
	t.Helper()
	p := pages{in: make(chan any)}
	c := catalog.New(catalog.Options{Lister: p, Project: ourProject})
	t.Cleanup(c.Close)
	return p, &entries{
		catalog: c, hold: hold, log: quiet, cached: func() cachedBytes { return uncached },
		failure: func(err error) error { return serviceFailure(err, "", "http://h") },
	}
}

// entriesOf serves a catalog of the pages on a socket of its own.
func entriesOf(t *testing.T, hold int) (pages, daemon, *web.Answers) {
	t.Helper()
	p, e := newEntries(t, hold)
	d, s := answering(t, answers{entries: e}.handler(quiet))
	return p, d, s
}

// answering is a daemon that answers so.
func answering(t *testing.T, handler http.Handler) (daemon, *web.Answers) {
	t.Helper()
	d := daemon{socket: filepath.Join(t.TempDir(), "socket")}
	listener, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := web.Serve(listener, &http.Server{Handler: handler, ReadHeaderTimeout: askTimeout}, func(err error) { t.Error(err) })
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d, s
}

// asked asks a daemon for its entries.
type asked struct {
	lines chan string // "entry id", or "pause"
	done  chan error
}

func askEntries(ctx context.Context, d daemon) asked {
	a := asked{lines: make(chan string, 1000), done: make(chan error, 1)}
	go func() {
		_, err := d.entries(ctx, listedSink{
			entry: func(l listed) error { a.lines <- l.Entry + " " + short(valueOf(l.ID)); return nil },
			pause: func() error { a.lines <- "pause"; return nil },
		})
		close(a.lines)
		a.done <- err
	}()
	return a
}

func short(id string) string { return strings.TrimLeft(id[:min(8, len(id))], "0") }

// next returns lines until a pause, or the end.
func (a asked) next() (lines []string) {
	for line := range a.lines {
		if line == "pause" {
			if len(lines) == 0 {
				continue
			}
			break
		}
		lines = append(lines, line)
	}
	return lines
}

// The first entries come before the last page is there; at the end come those that
// have turned out to be another image's.
func TestEntriesStream(t *testing.T) {
	p, d, _ := entriesOf(t, 0)
	a := askEntries(t.Context(), d)
	p.in <- []image.Image{numbered(5, "a"), numbered(6, "b")}
	if diff := cmp.Diff([]string{"a 5", "b 6"}, a.next()); diff != "" {
		t.Errorf("after the first page: %s", diff)
	}
	foreign := numbered(2, "b")
	foreign.Owner, foreign.Visibility = "q", image.VisibilityPublic
	p.in <- []image.Image{numbered(3, "a"), foreign, numbered(7, "c")}
	if diff := cmp.Diff([]string{"c 7"}, a.next()); diff != "" {
		t.Errorf("after the second page: %s", diff)
	}
	close(p.in)
	want := []string{"a~00000005 5", "b~00000002 2", "a 3"}
	if diff := cmp.Diff(want, a.next()); diff != "" {
		t.Errorf("at the end: %s", diff)
	}
	if err := <-a.done; err != nil {
		t.Error(err)
	}
	// Now that all is known nobody is asked, and each comes once.
	a = askEntries(t.Context(), d)
	if diff := cmp.Diff([]string{"b~00000002 2", "a 3", "a~00000005 5", "b 6", "c 7"}, a.next()); diff != "" {
		t.Errorf("again: %s", diff)
	}
	if err := <-a.done; err != nil {
		t.Error(err)
	}
}

// Of a listing that is not long each image comes once, with what is right.
func TestEntriesAreHeldBack(t *testing.T) {
	p, d, _ := entriesOf(t, 4)
	a := askEntries(t.Context(), d)
	p.in <- []image.Image{numbered(5, "a"), numbered(6, "b")}
	p.in <- []image.Image{numbered(3, "a")}
	close(p.in)
	if diff := cmp.Diff([]string{"a 3", "a~00000005 5", "b 6"}, a.next()); diff != "" {
		t.Error(diff)
	}
	if err := <-a.done; err != nil {
		t.Error(err)
	}
	p, d, _ = entriesOf(t, 4)
	a = askEntries(t.Context(), d)
	p.in <- []image.Image{numbered(5, "a"), numbered(6, "b")}
	p.in <- &image.Error{Op: "list", Kind: image.Unreachable}
	if diff := cmp.Diff([]string{"a 5", "b 6"}, a.next()); diff != "" {
		t.Errorf("of a listing that fails: %s", diff)
	}
	if err := <-a.done; codeOf(err) != exitUnreachable {
		t.Error(err)
	}
}

func TestEntriesFail(t *testing.T) {
	p, d, _ := entriesOf(t, 0)
	a := askEntries(t.Context(), d)
	p.in <- []image.Image{numbered(1, "a")}
	p.in <- &image.Error{Op: "list", Kind: image.Unreachable, Detail: "a \x1b cursor"}
	if got := a.next(); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if got := a.next(); len(got) != 0 {
		t.Errorf("after the error: %q", got)
	}
	err := <-a.done
	if codeOf(err) != exitUnreachable || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "http://h") {
		t.Errorf("%v", err)
	}
}

// Who goes away ends only his own listing, and the end of the daemon ends all.
func TestEntriesEnd(t *testing.T) {
	p, d, s := entriesOf(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := askEntries(ctx, d), askEntries(t.Context(), d)
	p.in <- []image.Image{numbered(1, "a")}
	for _, a := range []asked{gone, stays} {
		if diff := cmp.Diff([]string{"a 1"}, a.next()); diff != "" {
			t.Error(diff)
		}
	}
	cancel()
	if err := <-gone.done; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away: %v", err)
	}
	p.in <- []image.Image{numbered(2, "b")}
	if diff := cmp.Diff([]string{"b 2"}, stays.next()); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-stays.done; err == nil {
		t.Error("a listing that was cut short counts as complete")
	}
}

// Of an answer that says not that it is complete nobody believes that.
func TestEntriesCutShort(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+entriesPath, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"entry":{"entry":"a"}}`)
	})
	d, _ := answering(t, mux)
	n := 0
	_, err := d.entries(t.Context(), listedSink{
		entry: func(listed) error { n++; return nil }, pause: func() error { return nil },
	})
	if n != 1 || !errors.Is(err, errCutShort) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestOneEntry(t *testing.T) {
	p, d, _ := entriesOf(t, 0)
	go func() { p.in <- []image.Image{numbered(1, "a")}; close(p.in) }()
	a := askEntries(t.Context(), d)
	a.next()
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
	for _, query := range [][2]string{{"a", ""}, {"", numbered(1, "").ID}} {
		got, err := d.entry(t.Context(), query[0], query[1])
		if err != nil || valueOf(got.ID) != numbered(1, "").ID || valueOf(got.Name) != "a" {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	if _, err := d.entry(t.Context(), "b", ""); codeOf(err) != exitNoImage {
		t.Errorf("%v", err)
	}
}

// A lookup may take longer than anything else that a daemon answers.
func TestOneEntryTakesLong(t *testing.T) {
	p, e := newEntries(t, 0)
	go func() { p.in <- []image.Image{numbered(1, "a")}; close(p.in) }()
	answer := answers{entries: e}.handler(quiet)
	d, _ := answering(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now()); err != nil { // the time for an answer is over
			t.Error(err)
		}
		answer.ServeHTTP(w, r)
	}))
	if got, err := d.entry(t.Context(), "a", ""); err != nil || valueOf(got.ID) != numbered(1, "").ID {
		t.Errorf("%+v, %v", got, err)
	}
}
