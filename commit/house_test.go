package commit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testService = "http://image.test/v2"

// house is a Committer with a real staging directory and a fake service.
type house struct {
	*Committer
	t       testing.TB
	service *fake
	names   *fakeNames
	store   *staging.Store
	dir     string
	log     *lines
	wrong   []string // images of which that was said
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex // guards the field below
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type committed struct {
	draft, retired string
	img            image.Image
}

type fakeNames struct {
	mu      sync.Mutex // guards the fields below
	told    []committed
	gone    []string
	doubted []string
	hook    func()
}

func (n *fakeNames) Doubt(_, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doubted = append(n.doubted, name)
}

func (n *fakeNames) Gone(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = append(n.gone, id)
}

func (n *fakeNames) Committed(draft string, img image.Image, retired string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, committed{draft, retired, img})
	if n.hook != nil {
		n.hook()
	}
}

// fakeBase reads an image's bytes as they were when it was opened.
type fakeBase struct {
	data []byte
	fail error // of every read; nil for none
}

func (b *fakeBase) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if b.fail != nil {
		return 0, b.fail
	}
	return bytes.NewReader(b.data).ReadAt(p, off)
}

func (b *fakeBase) Close() error { return nil }

// OpenBase makes the house its own Bases.
func (h *house) OpenBase(img image.Image) staging.Base {
	h.service.mu.Lock()
	defer h.service.mu.Unlock()
	return &fakeBase{data: bytes.Clone(h.service.data[img.ID])}
}

// Wrong notes it.
func (h *house) Wrong(img image.Image) { h.wrong = append(h.wrong, img.ID) }

func (h *house) options() Options {
	return Options{
		Service: h.service, Names: h.names, Bases: h, Trash: NewTrash(TrashOptions{Records: h.service, Keep: h.service.keep}), Uploads: 2,
		Defaults: Defaults{Visibility: image.VisibilityPrivate, Properties: map[string]string{"from": "mount"}, Tags: []string{"new"}},
		Logger:   slog.New(slog.NewTextHandler(h.log, nil)),
	}
}

func newHouse(t testing.TB, service *fake) *house {
	t.Helper()
	h := &house{t: t, service: service, names: &fakeNames{}, dir: memoryDir(t), log: &lines{}}
	h.Committer = New(h.options())
	var err error
	h.store, err = staging.Open(staging.Options{Dir: h.dir, Service: testService, Project: service.project})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, h.store.Close()) })
	return h
}

// memoryDir is a temporary directory, in memory where the machine has such a
// filesystem: every journal is fsynced, and these tests write thousands.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "commit-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return dir
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// draft makes a draft that ends with the test.
func (h *house) draft(spec staging.Spec, content []byte) *staging.Draft {
	h.t.Helper()
	d, err := h.store.Create(spec)
	check(h.t, err)
	h.t.Cleanup(func() { check(h.t, d.Close()) })
	h.write(d, content, 0)
	return d
}

func (h *house) write(d *staging.Draft, content []byte, off int64) {
	h.t.Helper()
	if len(content) == 0 {
		return
	}
	_, err := d.WriteAt(context.Background(), content, off)
	check(h.t, err)
}

// over is the draft of an image that is truncated at open and written anew.
func over(old image.Image) staging.Spec {
	return staging.Spec{Name: old.Name, Entry: old.Name, Replaces: old.ID, Inherit: &old}
}

// edit is the draft of an image that is edited in place.
func (h *house) edit(old image.Image) staging.Spec {
	spec := over(old)
	spec.Base, spec.BaseImage = h.OpenBase(old), old
	return spec
}

// pattern is content of n bytes that is no disk format's.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i/251)
	}
	return p
}

// bytesOf reads a whole draft.
func bytesOf(t testing.TB, d *staging.Draft) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	_, err := d.ReadAt(context.Background(), p, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return p
}

// stored returns the bytes of an image in the service.
func (h *house) stored(id string) []byte {
	h.service.mu.Lock()
	defer h.service.mu.Unlock()
	return bytes.Clone(h.service.data[id])
}

// only returns the one record that the service has.
func (h *house) only() image.Image {
	h.t.Helper()
	all := h.service.all()
	if len(all) != 1 {
		h.t.Fatalf("the service has %d records, want one: %+v", len(all), all)
	}
	return all[0]
}

func props(img image.Image) map[string]string { return maps.Clone(img.Properties) }
