package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/prefetch"
)

// FuzzDaemonAnswer: whatever a daemon answers, which for root may be another user's, it is
// an error or is printed, and nothing of it moves the cursor of a terminal.
func FuzzDaemonAnswer(f *testing.F) {
	f.Add([]byte(`{"state":"\u001b[2J","version":"\u009b","uptime_seconds":1e300,"service":{"trouble":[{"pause":true}]},"cache":{"disk":{}},"listing":{"age_seconds":-1}}`))
	f.Add([]byte(`{"uploads":[{"phase":"\u0007","size_bytes":-1,"seconds":2}],"waiting":[{"name":"a\nb"}],"kept_drafts":[{"state":"\r","size_bytes":-9}]}`))
	f.Add([]byte(`{"entry":{"entry":"a\u001b","id":"x","size":-1,"cached":3,"tags":["\u0085"],"draft":"d"}}` + "\n" + `{"pause":true}` + "\n" + `{"end":true,"warning":"w\u001b"}`))
	f.Add([]byte(`{"image":{"entry":"a","id":"b","name":"\u007f","size":5,"min_disk":-7,"created_at":"9999-12-31T23:59:59Z","properties":{"\u001b":"\t"}}}`))
	f.Add([]byte(`{"error":"\u001b[H","code":29}`))
	f.Add([]byte(`{"name":"a\u001b"}` + "\n" + `{"done":5,"total":9}` + "\n" + `{"done":-5,"total":3}` + "\n" + `{"total":9223372036854775807}` + "\n" + `{"said":"\u009b"}` + "\n" + `{"end":true}`))
	f.Add([]byte(`{"images":[{"service":"\u0007","id":"\u001b","entry":"\r","size":-1,"cached":9,"verified":true,"last_used":"0001-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"none":"\u001b"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out, long, lines bytes.Buffer
		body := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(text)) }
		var s metrics.Snapshot
		err := readAnswer(body(), &s)
		if err == nil {
			err = errors.Join(s.WriteText(&out), s.WriteWatch(&out, metrics.Snapshot{}, 80), writeJSON(&out, s))
		}
		checkSaid(t, &out, err)
		d, err := readEntry(body())
		if err == nil {
			err = errors.Join(writeInfo(&out, d), writeJSON(&out, d))
		}
		checkSaid(t, &out, err)
		var a cacheAnswer
		err = readAnswer(body(), &a)
		if err == nil {
			var sum cacheStats
			sum.count(a.Images)
			err = errors.Join(writeCached(&out, a.Images), writeJSONLines(&out, a.Images), writeCacheStats(&out, []cacheStats{sum}))
			err = errors.Join(err, noCache(a.None))
		}
		checkSaid(t, &out, err)
		bar := &workBar{std: streams{Out: &out, Err: io.Discard}, terminal: true}
		checkSaid(t, &out, readWork(body(), bar))
		if strings.ContainsFunc(bar.name, unicode.IsControl) {
			t.Fatalf("a terminal is told %q", bar.name)
		}
		table, plain, objects := newEntryTable(&long), newEntryLines(&lines), newJSONLines(&out)
		warning, err := readEntries(body(), listedSink{
			entry: func(l listed) error { return errors.Join(table.print(l), plain.print(l), objects.print(l)) },
			pause: func() error { return errors.Join(table.pause(), plain.pause(), objects.pause()) },
		})
		if err := errors.Join(table.end(), plain.end(), objects.end()); err != nil {
			t.Fatal(err)
		}
		out.WriteString(oneLine(errors.New(warning)))
		for _, printed := range []*bytes.Buffer{&out, &long, &lines} {
			checkSaid(t, printed, err)
		}
	})
}

// checkSaid checks what a command would print, and its error.
func checkSaid(t *testing.T, out *bytes.Buffer, err error) {
	t.Helper()
	if err != nil {
		out.WriteString(oneLine(err))
		if code := codeOf(err); code == exitOK || !slices.ContainsFunc(exitTable(), func(m exitMeaning) bool { return m.Code == code }) {
			t.Fatalf("code %d of %v", code, err)
		}
	}
	if said := strings.ReplaceAll(out.String(), "\n", ""); strings.ContainsFunc(said, unicode.IsControl) {
		t.Fatalf("a terminal is told %q", said)
	}
}

// oneImage is a service that has one.
type oneImage struct{ catalog.Records }

func (oneImage) ListImages(_ context.Context, _ catalog.Query, yield func([]image.Image) error) (bool, error) {
	return true, yield([]image.Image{numbered(1, "a")})
}

func (oneImage) Get(context.Context, string) (image.Image, error) {
	return image.Image{}, &image.Error{Op: "get", Kind: image.NotFound}
}

// FuzzDaemonRequest: whatever a daemon is asked, it answers what its commands can read, and
// ends for nothing but being told to.
func FuzzDaemonRequest(f *testing.F) {
	for _, request := range []string{
		"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "POST /end HTTP/1.1\r\nHost: x\r\n\r\n", "GET /end HTTP/1.0\r\n\r\n",
		"GET /entries HTTP/1.1\r\nHost: x\r\n\r\n", "GET /entry?entry=a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /entry?id=00000001-0000-4000-8000-000000000000 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /cache HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /cache/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\"all\":true}",
		"POST /cache/drop HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n{\"images\":[{\"entry\":\"a\"}]}",
		"POST /warm HTTP/1.1\r\nHost: x\r\nContent-Length: 37\r\n\r\n{\"head\":-1,\"images\":[{\"entry\":\"a\"}]}",
		"GET /entry?entry=%FF%2F&id=;&%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
	} {
		f.Add([]byte(request))
	}
	c := catalog.New(catalog.Options{Lister: oneImage{}, Records: oneImage{}, Project: ourProject})
	f.Cleanup(c.Close)
	store, err := disk.Open(disk.Options{Dir: filepath.Join(f.TempDir(), "cache"), Limit: 1 << 20, BlockSize: cache.BlockSize})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() }) // nothing is in it
	explain := func(err error) error { return serviceFailure(err, "", "http://h") }
	ended := 0
	handler := answers{
		snapshot: func() metrics.Snapshot { return metrics.Snapshot{} }, end: func() { ended++ },
		entries: &entries{
			catalog: c, log: quiet, cached: func() cachedBytes { return uncached }, failure: explain,
		},
		warm: &warmer{
			catalog: c, failure: explain, mayRead: readAll, room: func(map[image.Key]bool) int64 { return 10 },
			load: func(_ context.Context, img image.Image, part prefetch.Part, told func(done, total int64)) error {
				told(0, part.Len(img.Size))
				return nil
			},
		},
		cache: &cacheKeeper{
			diskCache: diskCache{store: store, entryOf: func(string) string { return "" }, forget: func(func(image.Key) bool) {}}, catalog: c, failure: explain,
		},
	}.handler(quiet)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return // http.Server answers that
		}
		w, before := httptest.NewRecorder(), ended
		handler.ServeHTTP(w, r)
		if told := r.Method == http.MethodPost && r.URL.Path == endPath; ended != before && !told {
			t.Fatalf("%s %s ends it", r.Method, r.URL)
		}
		if w.Code != http.StatusOK {
			return
		}
		switch r.URL.Path {
		case statusPath:
			err = readAnswer(io.NopCloser(w.Body), new(metrics.Snapshot))
		case entriesPath:
			_, err = readEntries(w.Body, listedSink{entry: func(listed) error { return nil }, pause: func() error { return nil }})
		case cachePath:
			err = readAnswer(io.NopCloser(w.Body), new(cacheAnswer))
		case warmPath, cacheVerifyPath, cacheDropPath:
			err = readWork(w.Body, &noted{})
			if known := new(failure); errors.As(err, &known) {
				err = nil // it says what is wrong
			}
		case entryPath:
			_, err = readEntry(io.NopCloser(w.Body))
			if known := new(failure); errors.As(err, &known) {
				err = nil // it says what is wrong
			}
		}
		if err != nil {
			t.Fatalf("%s %s is answered so: %v", r.Method, r.URL, err)
		}
	})
}
