package commit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// effect says what a call that fails did before it failed.
type effect int

const (
	before   effect = iota // nothing happened
	after                  // it happened; the answer was lost
	cut                    // an upload: broken off in the middle, the record is queued again
	stuck                  // an upload: broken off in the middle, the record stays in saving
	imported               // an upload: fails with all bytes sent, the record stays in importing
	damaged                // an upload: succeeds, with one byte changed
	short                  // an upload: succeeds, without the last byte
)

// fault is one failure: of the nth call (from 1) of op.
type fault struct {
	op   string
	nth  int
	kind image.Kind // of the error; damaged and short have none
	what effect
}

// call is what a hook sees.
type call struct {
	op, id string
	done   bool // after its effect
}

// fake is an Image service in memory.
type fake struct {
	project string
	algo    string            // os_hash_algo
	mute    bool              // names no hash at all
	keep    time.Duration     // how long its images lie in the trash
	hook    func(call)        // seen by the calling goroutine, without mu held
	deny    func(call) error  // a standing refusal, nil for none
	slow    func(int64) error // called for each piece of an upload with the bytes so far

	mu      sync.Mutex // guards the fields below
	images  map[string]image.Image
	data    map[string][]byte
	members map[string][]image.Member
	used    map[string]bool
	faults  []fault
	counts  map[string]int
	calls   []string
	uploads int // under way
	most    int // uploads at once
}

func newFake(faults ...fault) *fake {
	return &fake{
		project: "ours", algo: algoSHA512, faults: faults,
		images: map[string]image.Image{}, data: map[string][]byte{}, members: map[string][]image.Member{},
		used: map[string]bool{}, counts: map[string]int{},
	}
}

func (f *fake) err(op, id string, k image.Kind) error {
	return &image.Error{Op: op, Image: id, Kind: k, Detail: "fake"}
}

// begin notes a call and returns the fault that it has to meet, if any.
func (f *fake) begin(ctx context.Context, op, id string) (fault, error) {
	if f.hook != nil {
		f.hook(call{op, id, false})
	}
	if err := ctx.Err(); err != nil {
		return fault{}, &image.Error{Op: op, Image: id, Kind: image.KindOf(err), Err: err}
	}
	if f.deny != nil {
		if err := f.deny(call{op, id, false}); err != nil {
			return fault{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op]++
	f.calls = append(f.calls, op)
	for _, x := range f.faults {
		if x.op == op && x.nth == f.counts[op] {
			if x.what == before {
				return x, f.err(op, id, x.kind)
			}
			return x, nil
		}
	}
	return fault{}, nil
}

// end is the answer of a call that has had its effect.
func (f *fake) end(op, id string, x fault) error {
	if f.hook != nil {
		f.hook(call{op, id, true})
	}
	if x.op != "" && x.what == after {
		return f.err(op, id, x.kind)
	}
	return nil
}

func (f *fake) Create(ctx context.Context, n image.New) (image.Image, error) {
	x, err := f.begin(ctx, "create", n.ID)
	if err != nil {
		return image.Image{}, err
	}
	f.mu.Lock()
	if f.used[n.ID] {
		f.mu.Unlock()
		return image.Image{}, f.err("create", n.ID, image.Busy)
	}
	img := image.Image{
		ID: n.ID, Name: n.Name, Status: image.StatusQueued, Visibility: cmp.Or(n.Visibility, image.VisibilityShared), Owner: f.project,
		DiskFormat: n.DiskFormat, ContainerFormat: n.ContainerFormat, Hidden: n.Hidden, Protected: n.Protected,
		MinDisk: n.MinDisk, MinRAM: n.MinRAM, Tags: slices.Clone(n.Tags), Properties: maps.Clone(n.Properties),
		CreatedAt: time.Now().UTC().Truncate(time.Second),
	}
	f.used[n.ID], f.images[n.ID] = true, img
	f.mu.Unlock()
	if err := f.end("create", n.ID, x); err != nil {
		return image.Image{}, err
	}
	return img.Clone(), nil
}

func (f *fake) Get(ctx context.Context, id string) (image.Image, error) {
	x, err := f.begin(ctx, "get", id)
	if err != nil {
		return image.Image{}, err
	}
	f.mu.Lock()
	img, ok := f.images[id]
	f.mu.Unlock()
	if !ok {
		return image.Image{}, f.err("get", id, image.NotFound)
	}
	return img.Clone(), f.end("get", id, x)
}

func (f *fake) Delete(ctx context.Context, id string) error {
	x, err := f.begin(ctx, "delete", id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	img, ok := f.images[id]
	switch {
	case !ok:
		f.mu.Unlock()
		return f.err("delete", id, image.NotFound)
	case img.Protected:
		f.mu.Unlock()
		return f.err("delete", id, image.Protected)
	}
	delete(f.images, id)
	delete(f.data, id)
	delete(f.members, id)
	f.mu.Unlock()
	return f.end("delete", id, x)
}

func (f *fake) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	x, err := f.begin(ctx, "update", id)
	if err != nil {
		return image.Image{}, err
	}
	f.mu.Lock()
	img, ok := f.images[id]
	if !ok {
		f.mu.Unlock()
		return image.Image{}, f.err("update", id, image.NotFound)
	}
	img = img.Clone()
	for _, c := range changes {
		if c.Field == "disk_format" && img.Status != image.StatusQueued {
			f.mu.Unlock()
			return image.Image{}, f.err("update", id, image.Forbidden)
		}
		apply(&img, c)
	}
	f.images[id] = img
	f.mu.Unlock()
	if err := f.end("update", id, x); err != nil {
		return image.Image{}, err
	}
	return img.Clone(), nil
}

func apply(img *image.Image, c image.Change) {
	switch {
	case c.Property && c.Value == nil:
		delete(img.Properties, c.Field)
		return
	case c.Property:
		if img.Properties == nil {
			img.Properties = map[string]string{}
		}
		img.Properties[c.Field] = c.Value.(string)
		return
	}
	switch c.Field {
	case "name":
		img.Name = c.Value.(string)
	case "os_hidden":
		img.Hidden = c.Value.(bool)
	case "disk_format":
		img.DiskFormat = c.Value.(string)
	case "container_format":
		img.ContainerFormat = c.Value.(string)
	case "owner":
		img.Owner = c.Value.(string)
	case "visibility":
		img.Visibility = image.Visibility(c.Value.(string))
	case "tags":
		img.Tags = c.Value.([]string)
	case "min_disk":
		img.MinDisk = c.Value.(int64)
	case "min_ram":
		img.MinRAM = c.Value.(int64)
	case "protected":
		img.Protected = c.Value.(bool)
	default:
		panic(fmt.Sprintf("the fake knows no field %q", c.Field))
	}
}

func (f *fake) Members(ctx context.Context, id string) ([]image.Member, error) {
	x, err := f.begin(ctx, "members", id)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	all := slices.Clone(f.members[id])
	f.mu.Unlock()
	return all, f.end("members", id, x)
}

func (f *fake) AddMember(ctx context.Context, id, project string) error {
	x, err := f.begin(ctx, "addmember", id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if f.images[id].Visibility != image.VisibilityShared {
		f.mu.Unlock()
		return f.err("addmember", id, image.Forbidden)
	}
	if slices.ContainsFunc(f.members[id], func(m image.Member) bool { return m.Project == project }) {
		f.mu.Unlock()
		return f.err("addmember", id, image.Busy)
	}
	f.members[id] = append(f.members[id], image.Member{Project: project, Status: "pending"})
	f.mu.Unlock()
	return f.end("addmember", id, x)
}

func (f *fake) RemoveMember(ctx context.Context, id, project string) error {
	x, err := f.begin(ctx, "removemember", id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if f.images[id].Visibility != image.VisibilityShared {
		f.mu.Unlock()
		return f.err("removemember", id, image.Forbidden)
	}
	f.members[id] = slices.DeleteFunc(slices.Clone(f.members[id]), func(m image.Member) bool { return m.Project == project })
	f.mu.Unlock()
	return f.end("removemember", id, x)
}

// put makes an active image with the bytes, outside of any fault.
func (f *fake) put(img image.Image, got []byte) image.Image {
	f.mu.Lock()
	defer f.mu.Unlock()
	if img.ID == "" {
		img.ID = uuid.NewString()
	}
	img.Owner, img.Visibility = cmp.Or(img.Owner, f.project), cmp.Or(img.Visibility, image.VisibilityShared)
	if img.CreatedAt.IsZero() {
		img.CreatedAt = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	}
	if got == nil {
		img.Status = image.StatusQueued
		f.images[img.ID], f.used[img.ID] = img, true
	} else {
		f.store(img, got)
	}
	return f.images[img.ID].Clone()
}

// all returns every record, hidden or not, in the order of their ids.
func (f *fake) all() []image.Image {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []image.Image
	for _, id := range slices.Sorted(maps.Keys(f.images)) {
		list = append(list, f.images[id].Clone())
	}
	return list
}

// count is how often op was called.
func (f *fake) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}
