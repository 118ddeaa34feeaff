package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// allocated runs do and returns how many bytes were allocated meanwhile, by the fake
// service too. What is never allocated is never held.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// endless answers with a beginning, and then with the same text until nobody listens.
func endless(status int, begin, more string) http.HandlerFunc {
	chunk := []byte(strings.Repeat(more, 64<<10/len(more)))
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, err := io.WriteString(w, begin)
		for err == nil {
			_, err = w.Write(chunk)
		}
	}
}

// raw answers with what a header is made of, until nobody listens.
func raw(begin, more string) http.HandlerFunc {
	chunk := []byte(strings.Repeat(more, 64<<10/len(more)))
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, err = io.WriteString(conn, begin)
		for err == nil {
			_, err = conn.Write(chunk)
		}
	}
}

// zipped is a small answer that would be a large one if it were unpacked.
func zipped(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever a service answers, what it makes the client allocate has a bound.
func TestAnswersThatAreTooMuch(t *testing.T) {
	bomb := zipped(t)
	get := func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, someID); return err }
	open := func(ctx context.Context, c *Client) error { return c.MayRead(ctx, active(10)) }
	upload := func(ctx context.Context, c *Client) error {
		return c.Upload(ctx, someID, 1, func() io.Reader { return strings.NewReader("x") })
	}
	const mib = 1 << 20
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		do      func(context.Context, *Client) error
		want    image.Kind
		most    uint64
	}{
		"a record without an end": {endless(200, `{"name": "`, "x"), get, image.UnexpectedAnswer, 160 * mib},
		"a length that is a lie": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<50))
			endless(200, "{", " ")(w, r)
		}, get, image.UnexpectedAnswer, 160 * mib},
		"a compressed record": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, get, image.UnexpectedAnswer, 4 * mib},
		"values in each other":    {endless(200, "", "["), get, image.UnexpectedAnswer, 160 * mib},
		"an error without an end": {endless(403, "", "no "), get, image.Forbidden, 16 * mib},
		"a refusal of an upload":  {endless(413, "quota", "no "), upload, image.Quota, 16 * mib},
		"a header without an end": {raw("HTTP/1.1 200 OK\r\n", "X-More: more\r\n"), get, image.Unavailable, 32 * mib},
		"a field without an end":  {raw("HTTP/1.1 200 OK\r\nX-More: ", "x"), get, image.Unavailable, 32 * mib},
		"hints without an end":    {raw("", "HTTP/1.1 103 Early Hints\r\nX-More: more\r\n\r\n"), get, image.Unavailable, 32 * mib},
		"a chunk's name":          {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"), get, image.Unavailable, 32 * mib},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}, get, image.UnexpectedAnswer, 8 * mib},
		"data without an end, asked for a byte": {endless(200, "", "x"), open, image.Other, 8 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake(t, Options{}, c.handler)
			f.retries.budget = time.Millisecond
			var err error
			took := allocated(func() { err = c.do(t.Context(), f) })
			if c.want == image.Other {
				wantPermission(t, err)
			} else {
				wantKind(t, err, c.want)
			}
			if took > c.most {
				t.Errorf("%d MiB were allocated, want at most %d", took/mib, c.most/mib)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// Nor has a listing whose pages never end.
func TestListingWithoutAnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		records int // a page
		bounds  listBounds
	}{
		"images": {1000, listBounds{pages: 1 << 20, images: 5000, bytes: 1 << 40}},
		"bytes":  {1000, listBounds{pages: 1 << 20, images: 1 << 40, bytes: 1 << 20}},
		"pages":  {0, listBounds{pages: 50, images: 1 << 40, bytes: 1 << 40}},
	} {
		t.Run(name, func(t *testing.T) {
			var pages atomic.Int32
			f := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				pages.Add(1)
				records := make([]string, c.records)
				for i := range records {
					records[i] = record(uuid.NewString(), "")
				}
				fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images?marker=%s"}`, strings.Join(records, ","), uuid.NewString())
			})
			f.bounds = c.bounds
			_, err := list(t, f, Filter{})
			wantKind(t, err, image.UnexpectedAnswer)
			if n := pages.Load(); n > 60 {
				t.Errorf("%d pages were read", n)
			}
		})
	}
}

// A record of very many short members is left out: each would take many times its text.
func TestCrowdedRecords(t *testing.T) {
	for name, more := range map[string]string{
		"properties": strings.Repeat(`, "a": ""`, maxMembers+1),
		"tags":       `, "tags": [` + strings.Repeat(`"a",`, maxMembers) + `"a"]`,
		"stores":     `, "stores": "` + strings.Repeat("a,", maxMembers+1) + `"`,
	} {
		if _, err := parseRecord([]byte(record(someID, more))); err == nil {
			t.Errorf("%s: a record of %d is taken", name, maxMembers+1)
		}
		fewer := strings.Replace(strings.Replace(strings.Replace(more, `"a",`, "", 1), `, "a": ""`, "", 1), "a,", "", 1)
		if _, err := parseRecord([]byte(record(someID, fewer))); err != nil {
			t.Errorf("%s: a record of %d: %v", name, maxMembers, err)
		}
	}
}

// What Keystone answers has a bound, too.
func TestKeystoneThatAnswersTooMuch(t *testing.T) {
	setOS(t)
	const mib = 1 << 20
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    image.Kind
	}{
		"a token without an end":   {endless(201, `{"token": {"x": "`, "x"), image.UnexpectedAnswer},
		"a refusal without an end": {endless(401, "", "no "), image.Credentials},
		"a header without an end":  {raw("HTTP/1.1 201 Created\r\n", "X-Subject-Token: more\r\n"), image.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			setOS(t, "AUTH_URL", fakeServer(t, c.handler)+"/v3", "USERNAME", "u", "PASSWORD", "geheim", "PROJECT_NAME", "p")
			var err error
			took := allocated(func() { _, err = Dial(t.Context(), Options{}) })
			if err == nil || strings.Contains(err.Error(), "geheim") || len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes: %.300v", len(fmt.Sprint(err)), err)
			}
			wantKind(t, err, c.want)
			if took > 128*mib {
				t.Errorf("%d MiB were allocated", took/mib)
			}
		})
	}
}

// Nor do tasks without number take more than their text a few times over.
func TestManyTasks(t *testing.T) {
	const tasks, mib = 5000, 1 << 20
	one := `{"status": "processing", "message": "copied some of the data", "updated_at": "2026-01-02T03:04:05Z"},`
	f := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tasks": [`+strings.Repeat(one, tasks)+`{"status": "failure", "message": "no room"}]}`)
	})
	var got importTasks
	took := allocated(func() { got = f.importTasks(t.Context(), someID) })
	if !got.failed || got.message != "no room" {
		t.Errorf("failed %v, %q", got.failed, got.message)
	}
	if took > 32*mib {
		t.Errorf("%d MiB were allocated", took/mib)
	}
}
