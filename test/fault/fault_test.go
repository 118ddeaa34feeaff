package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	record = `{"id": "8b1d6aa5-b6a4-4a3c-9c60-6f0a3f3a5b01", "name": "a", "status": "active", "tags": []}`
	rights = "/v2/images/8b1d6aa5-b6a4-4a3c-9c60-6f0a3f3a5b01"
)

// service is what is behind the proxy: a record, and a file of it.
func service(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Seen-Token", r.Header.Get("X-Auth-Token"))
	switch {
	case r.Method == http.MethodPut:
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Sum", string(sent[:1]))
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(r.URL.Path, "/file"):
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("0123456789", 100)))
	default:
		_, _ = io.WriteString(w, record) // its client may have gone
	}
}

func newProxy(t *testing.T) *Proxy {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(service))
	t.Cleanup(behind.Close)
	p, err := New(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// got is what a client saw.
type got struct {
	status int
	header http.Header
	body   string
	err    error
}

// do makes one request on a connection of its own.
func do(t *testing.T, p *Proxy, method, path, ranges string, body io.Reader) got {
	t.Helper()
	return doWithin(t, time.Minute, p, method, path, ranges, body)
}

// soon is how long a client waits for what never comes.
const soon = time.Second

func doWithin(t *testing.T, d time.Duration, p *Proxy, method, path, ranges string, body io.Reader) got {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", "secret")
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("too many redirects")
			}
			return nil
		},
	}
	resp, err := client.Do(r)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(text), err}
}

// Each fault is what it is called, and once it is over the service answers rightly.
func TestFaults(t *testing.T) {
	right := do(t, newProxy(t), http.MethodGet, rights, "", nil)
	for _, f := range []struct {
		fault Fault
		is    func(got) bool
	}{
		{Refused, func(g got) bool { return errors.Is(g.err, io.EOF) || errors.Is(g.err, syscall.ECONNRESET) }},
		{BlackHole, func(g got) bool { return errors.Is(g.err, context.DeadlineExceeded) && g.status == 0 }},
		{Reset, func(g got) bool { return errors.Is(g.err, syscall.ECONNRESET) }},
		{LostAnswer, func(g got) bool { return errors.Is(g.err, syscall.ECONNRESET) }},
		{ResetInHeader, func(g got) bool { return g.err != nil && g.status == 0 }},
		{ResetInBody, func(g got) bool { return g.err != nil && g.status == 200 }},
		{StallInBody, func(g got) bool {
			return errors.Is(g.err, context.DeadlineExceeded) && g.body == record[:len(record)/2]
		}},
		{SlowDrip, func(g got) bool { return g.err == nil && g.body == record }},
		{Truncated, func(g got) bool { return errors.Is(g.err, io.ErrUnexpectedEOF) && g.body == record[:len(record)/2] }},
		{TruncatedUntold, func(g got) bool { return g.err == nil && g.body == record[:len(record)/2] }},
		{ExtraBytes, func(g got) bool { return g.err == nil && g.body == record }},
		{ExtraBytesCounted, func(g got) bool { return g.err == nil && len(g.body) == len(record)+surplus }},
		{FlippedByte, func(g got) bool { return g.err == nil && g.body == "z"+record[1:] }},
		{InvalidJSON, func(g got) bool { return g.err == nil && strings.HasPrefix(g.body, "<") }},
		{HugeJSON, func(g got) bool { return g.err == nil && len(g.body) > 16<<20 }},
		{MissingFields, func(g got) bool { return g.body == `{"name":"a","tags":[]}` }},
		{MistypedFields, func(g got) bool { return g.body == `{"id":[true],"name":"a","status":[true],"tags":[]}` }},
		{RedirectLoop, func(g got) bool { return g.err != nil && strings.Contains(g.err.Error(), "too many") }},
		{RedirectElsewhere, func(g got) bool { return g.err == nil && g.body == record && g.header.Get("X-Seen-Token") == "secret" }},
		{ClockAhead, func(g got) bool {
			date, err := http.ParseTime(g.header.Get("Date"))
			return err == nil && time.Until(date) > skewed-time.Minute && g.body == record
		}},
		{Status(429, "Later."), func(g got) bool { return g.status == 429 && g.header.Get("Retry-After") == "1" }},
		{Status(503, "No."), func(g got) bool { return g.status == 503 && g.body == "No.\n" }},
		{Slow(time.Millisecond), func(g got) bool { return g.err == nil && g.body == record }},
	} {
		t.Run(f.fault.Name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			if err := p.Set(Rule{Kind: Get, Fault: f.fault, Times: 1, About: "6f0a3f3a5b01"}); err != nil {
				t.Fatal(err)
			}
			// What follows a redirect is the same request.
			if f.fault.Name == RedirectLoop.Name {
				if err := p.Set(Rule{Kind: Get, Fault: f.fault, Times: Always}); err != nil {
					t.Fatal(err)
				}
			}
			patience := time.Minute
			if f.fault.Name == BlackHole.Name || f.fault.Name == StallInBody.Name {
				patience = soon
			}
			if g := doWithin(t, patience, p, http.MethodGet, rights, "", nil); !f.is(g) {
				t.Errorf("the client got %d %v %.200q, %v", g.status, g.header, g.body, g.err)
			}
			if hits := p.Hits(); hits == 0 {
				t.Error("no request has met it")
			}
			if err := p.Set(); err != nil {
				t.Fatal(err)
			}
			for begun := time.Now(); ; time.Sleep(time.Millisecond) {
				g := do(t, p, http.MethodGet, rights, "", nil)
				if g.err == nil && g.body == right.body {
					break
				}
				if time.Since(begun) > time.Minute {
					t.Fatalf("when it is over the client gets %d %q, %v", g.status, g.body, g.err)
				}
			}
		})
	}
}

// Faults of data are in the data, whichever way it goes.
func TestDataFaults(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	for _, c := range []struct {
		fault          Fault
		method, ranges string
		is             func(got) bool
	}{
		{WrongRange, http.MethodGet, "bytes=10-19", func(g got) bool {
			return g.body == "0123456789" && g.header.Get("Content-Range") == "bytes 11-20/1001"
		}},
		{FlippedByte, http.MethodGet, "bytes=10-19", func(g got) bool { return g.body == "0123446789" }},
		{FlippedByte, http.MethodPut, "", func(g got) bool { return g.status == 204 && g.header.Get("X-Sum") == "1" }},
		{SlowDrip, http.MethodPut, "", func(g got) bool { return g.status == 204 && g.header.Get("X-Sum") == "0" }},
		{ResetInBody, http.MethodPut, "", func(g got) bool { return g.err != nil }},
		{StallInBody, http.MethodPut, "", func(g got) bool { return errors.Is(g.err, context.DeadlineExceeded) }},
	} {
		if err := p.Set(Rule{Fault: c.fault, Times: 1}); err != nil {
			t.Fatal(err)
		}
		var body io.Reader
		patience := time.Minute
		if c.fault.Name == StallInBody.Name {
			patience = soon
		}
		if c.method == http.MethodPut {
			body = bytes.NewReader(make([]byte, 4096))
			if c.fault.Name != StallInBody.Name {
				body = strings.NewReader(strings.Repeat("0", 4096))
			}
		}
		if g := doWithin(t, patience, p, c.method, rights+"/file", c.ranges, body); !c.is(g) {
			t.Errorf("%s: the client got %d %v %.200q, %v", c.fault.Name, g.status, g.header, g.body, g.err)
		}
	}
}

// Away refuses until Back, and a rule for always as long as it is in force.
func TestRefused(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	if err := p.Set(Rule{Kind: Get, Fault: Refused, Times: Always}); err != nil {
		t.Fatal(err)
	}
	do(t, p, http.MethodGet, rights, "", nil)
	for range 2 {
		if g := do(t, p, http.MethodGet, "/", "", nil); !errors.Is(g.err, syscall.ECONNREFUSED) {
			t.Errorf("the client got %+v, want refused", g)
		}
	}
	if err := p.Set(); err != nil {
		t.Fatal(err)
	}
	if g := do(t, p, http.MethodGet, rights, "", nil); g.body != record {
		t.Errorf("when it is over the client got %+v", g)
	}
}

// A request that meets a rule for always as that ends does not have connections refused from
// then on: nothing would end that.
func TestRefusedTooLate(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	if err := p.Set(Rule{Kind: Get, Fault: Refused, Times: Always}); err != nil {
		t.Fatal(err)
	}
	f, by := p.next(Get, httptest.NewRequest(http.MethodGet, rights, nil))
	if err := p.Set(); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			r := recover()
			if err, ok := r.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				t.Errorf("its connection ends with %v", r)
			}
		}()
		f.serve(&exchange{p: p, kind: Get, rule: by})
	}()
	if g := do(t, p, http.MethodGet, rights, "", nil); g.body != record {
		t.Errorf("when it is over the client got %+v", g)
	}
}

// The same seed draws the same faults, and only such as make sense.
func TestRate(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) (hits string) {
		p := newProxy(t)
		p.Rate(seed, 0.3, Status(500, "no"), WrongRange)
		for range 50 {
			if do(t, p, http.MethodGet, rights, "", nil).status == 500 {
				hits += "x"
			} else {
				hits += "."
			}
		}
		if n := p.Counts()[Get]; n.Seen != 50 || n.Hit != strings.Count(hits, "x") || n.Hit < 5 || n.Hit > 25 {
			t.Errorf("of 50 requests %+v have met a fault", n)
		}
		return hits
	}
	if a, b := draw(1), draw(1); a != b {
		t.Errorf("one seed draws\n%s and\n%s", a, b)
	}
}

// Skip leaves requests out, and the first rule decides.
func TestRules(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	if err := p.Set(
		Rule{Kind: Get, Fault: Status(500, ""), Times: 1, Skip: 1},
		Rule{Fault: Status(409, ""), Times: Always, About: "elsewhere"},
	); err != nil {
		t.Fatal(err)
	}
	var seen []int
	for range 3 {
		seen = append(seen, do(t, p, http.MethodGet, rights, "", nil).status)
	}
	seen = append(seen, do(t, p, http.MethodGet, "/elsewhere", "", nil).status)
	for i, want := range []int{200, 500, 200, 409} {
		if seen[i] != want {
			t.Errorf("answers %v", seen)
			break
		}
	}
}

// Close ends what waits.
func TestClose(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	if err := p.Set(Rule{Fault: BlackHole, Times: Always}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		resp, err := http.Get(p.URL() + rights) // without a time-out
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	for p.Hits() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a black hole has answered")
	}
}

// Tokens are good until they expire, and each is another.
func TestKeystone(t *testing.T) {
	k := NewKeystone(http.HandlerFunc(service), "project")
	s := httptest.NewServer(k)
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	k.Catalog(s.URL)
	token := func() string {
		resp, err := http.Post(s.URL+IdentityPath+"/auth/tokens", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Header.Get("X-Subject-Token")
	}
	status := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+rights, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	first := token()
	if got := []int{status(first), status("other"), status("")}; got[0] != 200 || got[1] != 401 || got[2] != 401 {
		t.Errorf("answers %v", got)
	}
	k.Expire()
	second := token()
	if got := []int{status(first), status(second)}; got[0] != 401 || got[1] != 200 || first == second {
		t.Errorf("after the end of the first token: answers %v", got)
	}
}

func TestKindOf(t *testing.T) {
	const id = "/v2/images/8b1d6aa5-b6a4-4a3c-9c60-6f0a3f3a5b01"
	for request, want := range map[string]Kind{
		"GET /": Versions, "GET /v2/images?limit=1": Probe, "GET /v2/images?limit=1000&sort=x": List,
		"GET /v2/images?updated_at=gte:x&sort=y": Delta, "GET /v2/images?name=eq:a": Lookup, "POST /v2/images": Create,
		"GET " + id: Get, "PATCH " + id: Update, "DELETE " + id: Delete, "GET " + id + "/file": Whole,
		"PUT " + id + "/file": Upload, "GET " + id + "/members": Members, "DELETE " + id + "/members/x": Members,
		"GET /v2/info/usage": Usage, "POST /identity/v3/auth/tokens": Token, "GET /v2/info/stores": Stores, "GET /v2/info/import": Methods,
		"PUT " + id + "/stage": Stage, "POST " + id + "/import": Import, "GET " + id + "/tasks": Tasks, "GET /v2/schemas/image": Other,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := KindOf(httptest.NewRequest(method, path, nil)); got != want {
			t.Errorf("%s is %v, want %v", request, got, want)
		}
	}
	seen := map[string]bool{}
	for _, f := range All() {
		seen[f.Name] = true
	}
	if n := len(seen); n != len(All()) {
		t.Errorf("%d faults have %d names", len(All()), n)
	}
}
