package fs

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// fakeDraft is a draft in memory. gate is held while it is written, and during the
// whole of a commit.
type fakeDraft struct {
	h    *house
	id   string
	gate chan struct{}

	mu             sync.Mutex // guards the fields below
	spec           DraftSpec  // Name, Entry and Replaces as they are now
	bytes          []byte
	mod            time.Time
	attributes     image.Attributes
	settings       image.Settings
	emptied        bool // nothing of a base shows any more
	dirty, written bool
	committed      string // id of the image that it was committed to last
	unlinked       bool
	refused        int64  // end of what a write was refused, until it is cut off
	accepted       bool   // a close was answered, and nothing was written since
	removing       string // id of the image that goes with its entry
	foreign        bool   // what it replaces is not what it inherits from
	supersedes     string // id of the draft that it was renamed over last
	end            string // how it ended: "", "closed", "discarded", "abandoned", "failed"
}

// Create makes a draft.
func (h *house) Create(spec DraftSpec) (Draft, error) {
	if err := h.ask(context.Background(), "create", spec.Entry); err != nil {
		return nil, err
	}
	d := &fakeDraft{h: h, id: uuid.NewString(), gate: make(chan struct{}, 1), spec: spec, mod: time.Now().UTC(), dirty: spec.Replaces != nil && spec.Base == nil}
	if spec.Base != nil {
		d.bytes = make([]byte, spec.Replaces.Size)
		if _, err := spec.Base.ReadAt(context.Background(), d.bytes, 0); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if err := spec.Base.Close(); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drafts[d.id] = d
	return d, nil
}

// ends counts the drafts by how they ended.
func (h *house) ends() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	ends := map[string]int{}
	for _, d := range h.drafts {
		d.mu.Lock()
		ends[d.end]++
		d.mu.Unlock()
	}
	return ends
}

func readFrom(data, p []byte, off int64) (int, error) {
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *fakeDraft) ID() string   { return d.id }
func (d *fakeDraft) Path() string { return "/staging/" + d.id }

func (d *fakeDraft) stale() error {
	return &image.Error{Op: "draft", Image: d.id, Kind: image.Stale, Detail: "closed"}
}

func (d *fakeDraft) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end != "" {
		return 0, d.stale()
	}
	return readFrom(d.bytes, p, off)
}

func (d *fakeDraft) hold(ctx context.Context) error {
	select {
	case d.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *fakeDraft) change(ctx context.Context, f func()) error {
	if err := d.hold(ctx); err != nil {
		return err
	}
	defer func() { <-d.gate }()
	d.mu.Lock()
	d.accepted = false // journaled before the change, which may fail
	d.mu.Unlock()
	if err := d.h.ask(ctx, "write", d.entry()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end != "" {
		return d.stale()
	}
	f()
	d.dirty, d.written = true, d.written || len(d.bytes) > 0
	d.mod, d.attributes.ModTime = time.Now().UTC(), nil
	return nil
}

func (d *fakeDraft) entry() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spec.Entry
}

func (d *fakeDraft) resize(size int64) {
	for int64(len(d.bytes)) < size {
		d.bytes = append(d.bytes, make([]byte, size-int64(len(d.bytes)))...)
	}
	d.bytes = d.bytes[:size]
}

func (d *fakeDraft) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	err := d.change(ctx, func() {
		d.resize(max(int64(len(d.bytes)), off+int64(len(p))))
		copy(d.bytes[off:], p)
	})
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.refused = max(d.refused, off+int64(len(p)))
		return 0, err
	}
	return len(p), nil
}

func (d *fakeDraft) MissesFrom(off int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused > off
}

func (d *fakeDraft) Truncate(ctx context.Context, size int64) error {
	if d.Size() == size {
		entry := d.entry()
		d.mu.Lock()
		d.refused = min(d.refused, size)
		d.mu.Unlock()
		d.h.mu.Lock()
		defer d.h.mu.Unlock()
		d.h.noteLocked("cut off", entry)
		return nil
	}
	return d.change(ctx, func() {
		d.resize(size)
		d.emptied = d.emptied || size == 0
	})
}

func (d *fakeDraft) Allocate(ctx context.Context, mode uint32, off, size int64) error {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	if mode&keepSize != 0 && off >= d.Size() {
		return nil
	}
	return d.change(ctx, func() { d.resize(max(int64(len(d.bytes)), off+size)) })
}

func (d *fakeDraft) SeekData(off int64) (int64, bool, error) { return off, off < d.Size(), nil }
func (d *fakeDraft) SeekHole(off int64) (int64, bool, error) { return d.Size(), off < d.Size(), nil }
func (d *fakeDraft) Sync(ctx context.Context) error          { return d.h.ask(ctx, "sync", d.entry()) }

func (d *fakeDraft) Accept(ctx context.Context, a image.Attributes) error {
	if err := d.hold(ctx); err != nil {
		return err
	}
	defer func() { <-d.gate }()
	if err := d.h.ask(ctx, "accept", d.entry()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end != "" {
		return d.stale()
	}
	d.accepted, d.attributes = true, a
	return nil
}

func (d *fakeDraft) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.bytes))
}

func (d *fakeDraft) ModTime() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attributes.ModTime != nil {
		return *d.attributes.ModTime
	}
	return d.mod
}

func (d *fakeDraft) Written() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written
}

func (d *fakeDraft) SetAttributes(a image.Attributes) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attributes = a
	return nil
}

func (d *fakeDraft) SetSettings(s image.Settings) error {
	if err := d.h.ask(context.Background(), "settings", d.entry()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settings = s
	return nil
}

// CheckEmpty asks the hook.
func (d *fakeDraft) CheckEmpty() error {
	return d.h.ask(context.Background(), "check empty", d.entry())
}

func (d *fakeDraft) ShowsBase() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spec.Base != nil && !d.emptied
}

func (d *fakeDraft) Rename(name, entry string, over *image.Image, inherit bool, supersedes string) error {
	if err := d.h.ask(context.Background(), "rename draft", entry); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spec.Name, d.spec.Entry, d.supersedes = name, entry, supersedes
	if over != nil {
		d.spec.Replaces, d.foreign = over, !inherit
	}
	return nil
}

func (d *fakeDraft) Removing(id string) error {
	if err := d.h.ask(context.Background(), "removing", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removing = id
	return nil
}

func (d *fakeDraft) Unlink() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unlinked = true
	return nil
}

func (d *fakeDraft) finish(how string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end == "" {
		d.end = how
	}
	return nil
}

func (d *fakeDraft) Close() error   { return d.finish("closed") }
func (d *fakeDraft) Discard() error { return d.finish("discarded") }
func (d *fakeDraft) Abandon(_ string, mayGo bool) error {
	return d.finish(map[bool]string{true: "abandoned", false: "abandoned for good"}[mayGo])
}
func (d *fakeDraft) KeepFailed(error) error { return d.finish("failed") }
