package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

// importer is a service that takes data for import only, as far as one image shows
// it. Its fields are for one goroutine: the transport below makes no other.
type importer struct {
	t       *testing.T
	methods string // of /info/import; "": 404
	status  image.Status
	size    int64
	more    string // of the record
	tasks   string // of /tasks; "": 404
	staged  []byte
	seen    []string
	orders  []string

	refuseWays  int                         // the answer of /info/import, 0: it tells
	refuseStage int                         // its answer, 0: taken
	refuseTasks int                         // the same
	loseStage   bool                        // its answer
	loseImport  int                         // its first answers
	onImport    func(i *importer)           // instead of making the image active
	onLook      func(i *importer, look int) // before each look at the image
	looks       int
}

func (i *importer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/v2"), "/images/"+someID)
	i.seen = append(i.seen, what)
	switch what {
	case "PUT /file":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "disallowed by policy")
	case "GET /info/import":
		if i.refuseWays != 0 {
			w.WriteHeader(i.refuseWays)
			return
		}
		if i.methods == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"import-methods": {"description": "Import methods available.", "type": "array", "value": [%s]}}`, i.methods)
	case "PUT /stage":
		data, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != typeData || r.ContentLength != int64(len(data)) || i.status != image.StatusQueued {
			i.t.Errorf("staged %d bytes of %d in status %s: %v", len(data), r.ContentLength, i.status, err)
		}
		if i.refuseStage != 0 {
			w.WriteHeader(i.refuseStage)
			return
		}
		i.staged, i.status, i.size = data, image.StatusUploading, int64(len(data))
		if i.loseStage {
			hangUp(w)
		}
		w.WriteHeader(http.StatusNoContent)
	case "POST /import":
		data, _ := io.ReadAll(r.Body)
		if i.status != image.StatusUploading {
			w.WriteHeader(http.StatusConflict)
			return
		}
		i.orders = append(i.orders, string(data))
		i.status = image.StatusActive
		if i.onImport != nil {
			i.onImport(i)
		}
		if i.loseImport > 0 {
			i.loseImport--
			hangUp(w)
		}
		w.WriteHeader(http.StatusAccepted)
	case "GET ":
		i.looks++
		if i.onLook != nil {
			i.onLook(i, i.looks)
		}
		fmt.Fprintf(w, `{"id": %q, "status": %q, "size": %d%s}`, someID, i.status, i.size, i.more)
	case "GET /tasks":
		if i.refuseTasks != 0 {
			w.WriteHeader(i.refuseTasks)
			return
		}
		if i.tasks == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"tasks": [%s]}`, i.tasks)
	default:
		i.t.Errorf("request %s", what)
	}
}

// RoundTrip answers without a network, so that the time of a bubble goes on.
func (i *importer) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, io.ErrUnexpectedEOF
		}
	}()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	return w.Result(), nil
}

func (i *importer) client(o Options) *Client {
	o = o.withDefaults()
	way := &http.Client{Transport: i}
	c := newClient(o, &transports{plain: way, upload: way}, &session{})
	c.base = "http://service/v2"
	return c
}

func (i *importer) count(what string) int {
	n := 0
	for _, s := range i.seen {
		if s == what {
			n++
		}
	}
	return n
}

var toImport = []byte(strings.Repeat("import", 1000))

func (i *importer) upload(ctx context.Context, c *Client) error {
	return c.Upload(ctx, someID, int64(len(toImport)), reader(toImport))
}

// TestImport: data that PUT refuses is staged and imported; the refusal is
// remembered.
func TestImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &importer{t: t, methods: `"web-download", "glance-direct"`, status: image.StatusQueued}
		c := i.client(Options{Store: "fast"})
		for n := 1; n <= 2; n++ {
			if err := i.upload(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(i.staged, toImport) || i.count("PUT /file") != 1 || i.count("PUT /stage") != n || i.count("GET /info/import") != 1 {
				t.Errorf("%d bytes staged, requests %q", len(i.staged), i.seen)
			}
			i.status = image.StatusQueued // of the next one
		}
		var order struct {
			Method struct{ Name string }
			Stores []string
		}
		if err := json.Unmarshal([]byte(i.orders[0]), &order); err != nil || order.Method.Name != "glance-direct" || len(order.Stores) != 1 || order.Stores[0] != "fast" {
			t.Errorf("ordered %s", i.orders[0])
		}
	})
}

// TestNoImport: where there is no other way, the refusal of PUT stands.
func TestNoImport(t *testing.T) {
	for _, i := range []*importer{
		{},
		{methods: `"web-download"`},
		{methods: `"glance-direct"`, refuseStage: http.StatusForbidden},
	} {
		i.t, i.status = t, image.StatusQueued
		c := i.client(Options{})
		for n := 1; n <= 2; n++ { // nothing is remembered
			wantKind(t, i.upload(t.Context(), c), image.Forbidden)
			if i.count("PUT /file") != n {
				t.Errorf("requests %q", i.seen)
			}
		}
	}
}

// TestImportUnknown: where the service does not say now whether there is another way, the
// refusal of PUT is not the end of it.
func TestImportUnknown(t *testing.T) {
	i := &importer{t: t, methods: `"glance-direct"`, status: image.StatusQueued, refuseWays: http.StatusInternalServerError}
	c := i.client(Options{})
	wantKind(t, i.upload(t.Context(), c), image.Unavailable)
	i.refuseWays = 0
	if err := i.upload(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// TestImportNeedsNewRecord: a refused PUT that has changed the record asks for
// another one, which is imported at once.
func TestImportNeedsNewRecord(t *testing.T) {
	i := &importer{t: t, methods: `"glance-direct"`, status: image.StatusSaving}
	c := i.client(Options{})
	wantKind(t, i.upload(t.Context(), c), image.Unavailable)
	i.status = image.StatusQueued
	if err := i.upload(t.Context(), c); err != nil || i.count("PUT /file") != 1 {
		t.Errorf("%v, requests %q", err, i.seen)
	}
}

func taskOf(status, message string) string {
	return fmt.Sprintf(`{"id": "t", "type": "api_image_import", "status": %q, "message": %q, "updated_at": "2024-05-06T07:08:09"}`, status, message)
}

// TestImportEnds: how an import can go, and how long that is waited for.
func TestImportEnds(t *testing.T) {
	importing := func(i *importer) { i.status = image.StatusImporting }
	after := func(look int, then func(*importer)) func(*importer, int) {
		return func(i *importer, n int) {
			if n >= look {
				then(i)
			}
		}
	}
	active := func(i *importer) { i.status = image.StatusActive }
	for name, c := range map[string]struct {
		importer
		want   image.Kind // Other: success
		detail string
		most   time.Duration
	}{
		"its answer is lost":         {importer: importer{loseImport: 1}},
		"its answers are lost":       {importer: importer{loseImport: 9}},
		"the stage's answer is lost": {importer: importer{loseStage: true}},
		"the stage's answer is lost, and the record tells late": {importer: importer{loseStage: true, onLook: func(i *importer, n int) {
			if i.size = 0; n > 9 {
				i.size = int64(len(i.staged))
			}
		}}},
		"the stage is cut off": {importer: importer{loseStage: true, onLook: func(i *importer, _ int) { i.status, i.size = image.StatusQueued, 0 }},
			want: image.Unavailable},
		"the stage hangs": {importer: importer{loseStage: true, onLook: func(i *importer, _ int) { i.size = 0 }},
			want: image.Unavailable, most: stagedTime + time.Second},
		"it takes a while":      {importer: importer{onImport: importing, onLook: after(20, active)}},
		"the tasks are refused": {importer: importer{refuseTasks: http.StatusBadRequest, onImport: importing, onLook: after(20, active)}},
		"the tasks break":       {importer: importer{refuseTasks: http.StatusInternalServerError, onImport: importing, onLook: after(20, active)}, most: 2 * time.Minute},
		"stores fail": {importer: importer{tasks: taskOf("failure", "no such pool"), onImport: func(i *importer) {
			i.status, i.more = image.StatusQueued, `, "os_glance_failed_import": "fast"`
		}}, want: image.Unavailable, detail: "failed stores: fast: no such pool", most: time.Second},
		"a store fails, the status stays": {importer: importer{onImport: func(i *importer) {
			i.status, i.more = image.StatusImporting, `, "os_glance_failed_import": "fast"`
		}}, want: image.Unavailable, detail: "failed stores: fast", most: time.Second},
		"it goes back to queued": {importer: importer{onImport: func(i *importer) { i.status = image.StatusQueued }},
			want: image.Unavailable, most: time.Second},
		"only the task tells": {importer: importer{tasks: taskOf("failure", "Task failed due to Internal Error"), onImport: importing},
			want: image.Unavailable, detail: "Internal Error", most: 10 * time.Second},
		"over quota": {importer: importer{tasks: taskOf("failure", "Project p is over a limit for image_size_total"), onImport: func(i *importer) { i.status = image.StatusQueued }},
			want: image.Quota, most: time.Second},
		"it hangs": {importer: importer{tasks: taskOf("processing", ""), onImport: importing},
			want: image.Stalled, detail: "importing", most: answerStalls*defaultStall + 10*time.Second},
		"it hangs, and nothing tells": {importer: importer{onImport: importing},
			want: image.Stalled, most: answerStalls*defaultStall + 10*time.Second},
		"it moves for an hour": {importer: importer{onImport: importing, onLook: func(i *importer, n int) {
			i.tasks = taskOf("processing", fmt.Sprintf("Copied %d MiB", n/50)) // each four minutes
			if n == 720 {
				i.status = image.StatusActive
			}
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := &c.importer
				i.t, i.methods, i.status = t, `"glance-direct"`, image.StatusQueued
				begun := time.Now()
				err := i.upload(t.Context(), i.client(Options{}))
				if c.want == image.Other {
					if err != nil || i.status != image.StatusActive {
						t.Errorf("%v, the image is %s", err, i.status)
					}
				} else if wantKind(t, err, c.want); err != nil && !strings.Contains(err.Error(), c.detail) {
					t.Errorf("%v does not say %q", err, c.detail)
				}
				if took := time.Since(begun); c.most > 0 && took > c.most {
					t.Errorf("it took %v", took)
				}
				if i.count("PUT /stage") != 1 || len(i.orders) > 1 {
					t.Errorf("requests %q", i.seen)
				}
			})
		})
	}
}

// TestImportInterrupted: the wait for an import ends with its context.
func TestImportInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &importer{t: t, methods: `"glance-direct"`, status: image.StatusQueued, onImport: func(i *importer) { i.status = image.StatusImporting }}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		begun := time.Now()
		wantKind(t, i.upload(ctx, i.client(Options{})), image.Interrupted)
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// TestEmbeddedImport: the same on the embedded server behind a policy.
func TestEmbeddedImport(t *testing.T) {
	server, err := imageserver.New(imageserver.Options{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/file") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	c := dial(t, Options{Endpoint: listener.URL})
	suite := service{Client: c, admin: c, header: map[string]string{"X-Roles": "admin"}}
	testRoundTrip(t, suite)
	testUploadTwice(t, suite)
	testShortUpload(t, suite)
}
