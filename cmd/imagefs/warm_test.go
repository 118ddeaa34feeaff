package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/prefetch"
)

// noted notes what work tells.
type noted struct{ lines []string }

func (n *noted) begin(name string) { n.lines = append(n.lines, "begin "+name) }
func (n *noted) moved(done, total int64) {
	n.lines = append(n.lines, fmt.Sprintf("%d/%d", done, total))
}
func (n *noted) said(line string) error { n.lines = append(n.lines, line); return nil }

// warmed serves a warmer on a socket of its own, whose images are a, b (older, of 2 bytes),
// and a record without data.
func warmed(t *testing.T, w warmer) daemon {
	t.Helper()
	empty := numbered(3, "empty")
	empty.Status = image.StatusQueued
	p := pages{in: make(chan any, 1)}
	p.in <- []image.Image{numbered(1000, "a"), numbered(2, "b"), empty}
	close(p.in)
	w.catalog = catalog.New(catalog.Options{Lister: p, Records: records{empty}, Project: ourProject, TTL: time.Hour})
	t.Cleanup(w.catalog.Close)
	if l, err := w.catalog.List(t.Context()); err != nil {
		t.Fatal(err)
	} else if _, _, err := l.At(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	w.service, w.failure = "http://h", func(err error) error { return serviceFailure(err, "", "http://h") }
	dir := filepath.Join(t.TempDir(), "run")
	s, err := listenStatus(t.Context(), "/m", []string{dir}, answers{warm: &w, snapshot: func() metrics.Snapshot { return metrics.Snapshot{} }}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return daemon{socket: filepath.Join(dir, socketName("/m"))}
}

// records are what the service says of single images.
type records []image.Image

func (r records) Get(_ context.Context, id string) (image.Image, error) {
	for _, img := range r {
		if img.ID == id {
			return img, nil
		}
	}
	return image.Image{}, &image.Error{Op: "get", Image: id, Kind: image.NotFound}
}

func (records) Update(context.Context, string, []image.Change) (image.Image, error) {
	return image.Image{}, errors.New("not here")
}

func readAll(context.Context, image.Image) error { return nil }

// All images are found, and fit, before the first is loaded; how that goes comes as it goes.
func TestWarmSocket(t *testing.T) {
	var loaded []string
	load := func(_ context.Context, img image.Image, part prefetch.Part, told func(done, total int64)) error {
		loaded = append(loaded, img.Name)
		told(part.Len(img.Size), part.Len(img.Size))
		switch img.Name {
		case "b":
			return &image.Error{Op: "load", Image: img.ID, Kind: image.LocalFull}
		}
		return nil
	}
	for _, tc := range []struct {
		name   string
		images []wanted
		head   int64
		room   int64
		want   []string
		loaded []string
		code   exitCode
		says   string
	}{
		{"one", []wanted{{Entry: "a"}}, 0, 1000, []string{"begin a", "1000/1000", "a: 1000 B of 1000 B in the cache"}, []string{"a"}, exitOK, ""},
		{"its head", []wanted{{Entry: "a"}}, 10, 10, []string{"begin a", "10/10", "a: 10 B of 1000 B in the cache"}, []string{"a"}, exitOK, ""},
		{"by id", []wanted{{ID: numbered(1000, "").ID}}, 1, 10, []string{
			"begin " + numbered(1000, "").ID, "1/1", numbered(1000, "").ID + ": 1 B of 1000 B in the cache",
		}, []string{"a"}, exitOK, ""},
		{"twice", []wanted{{Entry: "a"}, {ID: numbered(1000, "").ID}}, 1, 1, nil, []string{"a", "a"}, exitOK, ""},
		{"too large", []wanted{{Entry: "b"}, {Entry: "a"}}, 0, 1001, nil, nil, exitCacheSmall, "nothing was loaded"},
		{"not kept", []wanted{{Entry: "b"}, {Entry: "a"}}, 0, 1002, []string{"begin b", "2/2"}, []string{"b"}, exitCacheSmall, "b: load image "},
		{"unknown", []wanted{{Entry: "a"}, {Entry: "c"}}, 0, 5000, nil, nil, exitNoImage, "c: "},
		{"without data", []wanted{{Entry: "a"}, {Entry: "empty"}}, 0, 5000, nil, nil, exitInternal, "empty: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			loaded = nil
			d := warmed(t, warmer{mayRead: readAll, load: load, room: func(map[image.Key]bool) int64 { return tc.room }})
			var got noted
			err := d.work(t.Context(), warmPath, warmQuestion{Images: tc.images, Head: tc.head}, &got)
			if codeOf(err) != tc.code {
				t.Errorf("%v, want code %d", err, tc.code)
			}
			if err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it does not say %q: %v", tc.says, err)
			}
			if diff := cmp.Diff(tc.loaded, loaded); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, got.lines); tc.want != nil && diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// What may not be read is not loaded; and the work ends with who asked for it.
func TestWarmSocketEnds(t *testing.T) {
	forbidden := func(_ context.Context, img image.Image) error {
		return &image.Error{Op: "ask", Image: img.ID, Kind: image.Forbidden}
	}
	room := func(map[image.Key]bool) int64 { return 1 << 20 }
	d := warmed(t, warmer{mayRead: forbidden, room: room})
	if err := d.work(t.Context(), warmPath, warmQuestion{Images: []wanted{{Entry: "a"}}}, &noted{}); codeOf(err) != exitCredentials {
		t.Errorf("forbidden: %v", err)
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	d = warmed(t, warmer{mayRead: readAll, room: room, load: func(ctx context.Context, _ image.Image, _ prefetch.Part, told func(done, total int64)) error {
		told(0, 1)
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if err := d.work(ctx, warmPath, warmQuestion{Images: []wanted{{Entry: "a"}}}, &noted{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the work ended with %v", err)
	}
}

// A bar is for a terminal; elsewhere there is a line for each image.
func TestWorkBar(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var out, stderr bytes.Buffer
		b := &workBar{std: streams{Out: &out, Err: &stderr}, terminal: terminal}
		b.begin("a\x1b[31m" + strings.Repeat("n", 100))
		b.moved(0, 100)
		b.moved(50, 200) // more has been found
		b.moved(200, 200)
		if err := b.said("done\x1b"); err != nil {
			t.Fatal(err)
		}
		if out.String() != "done?\n" {
			t.Errorf("%q", out.String())
		}
		if got := stderr.String(); terminal != strings.Contains(got, "a?[31mnnn") || strings.Contains(got, "\x1b[31m") || strings.Contains(got, strings.Repeat("n", mostLabel)) {
			t.Errorf("terminal %v: %q", terminal, got)
		}
	}
}

// The command and the daemon together: what was loaded is read without a request for data.
func TestWarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := countedService(t)
	upload(t, s.url, image.New{Name: "a"}, image.New{Name: "b", DiskFormat: "qcow2", ContainerFormat: "bare"})
	m := w.mounted(s.url, "--cache-size", "300MiB")
	if got := w.mustRun("warm", m+"/a"); got != "a: 293 KiB of 293 KiB in the cache\n" {
		t.Errorf("%q", got)
	}
	fetched := w.mustAsk(m).Cache.Fetched
	w.mustSh("cat m/a > /dev/null")
	if got := w.mustAsk(m).Cache.Fetched; got != fetched || got != 300_000 {
		t.Errorf("%d bytes fetched by warm, %d after the read", fetched, got)
	}
	if got := w.mustRun("warm", "--metadata", m+"/b"); !strings.HasPrefix(got, "b: ") {
		t.Errorf("%q", got)
	}
	for args, want := range map[string]string{
		"warm": "the image is missing", "warm --head 1 --metadata a": "give one of them", "warm --head 0 a": "nothing would be loaded", "warm --head x a": "x",
	} {
		if got := w.mustFail(exitUsage, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %q", args, got)
		}
	}
	if got := w.mustFail(exitNoImage, "warm", m+"/none"); !strings.Contains(got, "none: ") || strings.Contains(got, "answer") {
		t.Errorf("%q", got)
	}
}

// Ctrl-C ends it, and what was loaded stays.
func TestWarmInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, url := holed(t)
	upload(t, url, image.New{Name: "a"})
	m := w.mounted(url)
	w.mustRun("warm", "--head", "1KiB", m+"/a")
	h.arm(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/file") })
	p := w.start("warm", m+"/a")
	eventually(t, "a request is held", func() bool { return h.count() > 0 })
	p.signal(unix.SIGINT)
	if _, stderr, code := p.end(); code != exitInterruptedBy || oneLineOf(t, stderr) == "" {
		t.Errorf("code %d: %s", code, stderr)
	}
	var d described
	if err := json.Unmarshal([]byte(w.mustRun("info", "--json", m+"/a")), &d); err != nil {
		t.Fatal(err)
	}
	if valueOf(d.Cached) != 128<<10 {
		t.Errorf("%d bytes are left", valueOf(d.Cached))
	}
}
