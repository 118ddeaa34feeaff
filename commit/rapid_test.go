package commit

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

var (
	faultOps   = []string{"create", "get", "upload", "update", "delete", "members", "addmember"}
	faultKinds = []image.Kind{
		image.Unavailable, image.Unavailable, image.Stalled, image.Unreachable, image.Forbidden, image.Rejected,
		image.Quota, image.Full, image.Busy, image.Credentials, image.Other, image.UnexpectedAnswer,
	}
)

// plot is one story: what is committed over what, and what goes wrong.
type plot struct {
	kind    string // new, over, edit, into
	size    int
	faults  []fault
	cancel  int // the request before which the caller gives up; 0: never
	commits int
	empty   []bool // before which commits the draft is emptied
}

func drawPlot(t *rapid.T) plot {
	fault := rapid.Custom(func(t *rapid.T) fault {
		f := fault{
			op:   rapid.SampledFrom(faultOps).Draw(t, "op"),
			nth:  rapid.IntRange(1, 6).Draw(t, "nth"),
			kind: rapid.SampledFrom(faultKinds).Draw(t, "kind"),
			what: rapid.SampledFrom([]effect{before, after}).Draw(t, "what"),
		}
		if f.op == "upload" {
			f.what = rapid.SampledFrom([]effect{before, after, cut, stuck, damaged, short}).Draw(t, "what of the upload")
			if f.kind == image.Busy { // the record is somebody else's by then, and nothing of ours was taken
				f.what = before
			}
		}
		return f
	})
	return plot{
		kind:    rapid.SampledFrom([]string{"new", "over", "edit", "into"}).Draw(t, "kind"),
		size:    rapid.IntRange(1, 3000).Draw(t, "size"),
		faults:  rapid.SliceOfN(fault, 0, 8).Draw(t, "faults"),
		cancel:  max(0, rapid.IntRange(-20, 12).Draw(t, "cancel")),
		commits: rapid.IntRange(1, 3).Draw(t, "commits"),
	}
}

// play commits a draft several times among faults and says what was wrong.
func (p plot) play(t *testing.T) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	f := newFake(p.faults...)
	h := newHouse(t, f)
	var was image.Image
	spec := staging.Spec{Name: "x", Entry: "x"}
	switch p.kind {
	case "over", "edit":
		was = f.put(image.Image{Name: "x", DiskFormat: "raw", Tags: []string{"t"}}, pattern(1500))
		f.members[was.ID] = []image.Member{{Project: "p", Status: "accepted"}}
		spec = over(was)
		if p.kind == "edit" {
			spec = h.edit(was)
		}
	case "into":
		was = f.put(image.Image{Name: "x"}, nil)
		spec.Into, spec.Inherit = was.ID, &was
	}
	d := h.draft(spec, pattern(p.size))
	requests := 0
	for i := range p.commits {
		ctx, cancel := context.WithCancel(context.Background())
		f.hook = func(c call) {
			if !c.done {
				if requests++; requests == p.cancel {
					cancel()
				}
			}
		}
		h.write(d, []byte{byte(i), 1}, int64(i*700))
		status := image.StatusActive
		if i < len(p.empty) && p.empty[i] {
			check(t, d.Truncate(ctx, 0))
			status = image.StatusQueued
		}
		content := bytesOf(t, d)
		before := len(h.names.told)
		img, err := h.Commit(ctx, d)
		f.hook = nil
		cancel()
		r := d.Record()
		if !bytes.Equal(bytesOf(t, d), content) {
			say("the draft's bytes changed")
		}
		var visible []image.Image
		aside := false
		for _, got := range f.all() {
			switch {
			case got.Name == image.Image{ID: got.ID, Name: "x"}.AsideName(): // in this commit or an earlier one
				aside = aside || got.ID == was.ID
			case !got.Hidden && got.Name == "x":
				visible = append(visible, got)
			case r.Image != got.ID && r.Into != got.ID && r.Replaces != got.ID:
				say("record %s (%s, hidden %v) is left, the journal is %+v", got.ID, got.Name, got.Hidden, r)
			}
		}
		if err == nil {
			if len(visible) != 1 || visible[0].ID != img.ID || !bytes.Equal(f.data[img.ID], content) || img.Status != status {
				say("after success %+v is visible, Commit said %+v", visible, img)
			}
			if d.Dirty() || r.State != staging.StateCommitted || len(h.names.told) != before+1 {
				say("after success the draft is %+v", r)
			}
			if img.Properties[image.PropertyDraft] != "" {
				say("the mark is left")
			}
			was = img
			continue
		}
		if !d.Dirty() || r.State != staging.StateFailed || r.Reason == "" || len(h.names.told) != before {
			say("after failure (%v) the draft is %+v", err, r)
		}
		if was.Status == image.StatusActive && !aside {
			now, there := f.images[was.ID]
			if !there && len(visible) == 0 { // its removal was unsure: the new one stays
				say("after failure (%v) the old image is gone", err)
			} else if diff := cmp.Diff(was, now); there && diff != "" {
				say("after failure (%v) the old image changed: %s", err, diff)
			}
		}
		if aside {
			return wrong // its name cannot be checked against the record any more
		}
		if len(visible) > 1 && r.Image == "" {
			say("after failure (%v) two are visible and the journal does not say so: %+v", err, r)
		}
	}
	// When the service is well again, everything settles.
	f.faults = nil
	if d.Dirty() {
		img, err := h.Commit(context.Background(), d)
		if err != nil {
			say("with a healthy service: %v", err)
		}
		for _, got := range f.all() {
			if got.ID != img.ID && got.Name == "x" {
				say("with a healthy service %+v is left", got)
			}
		}
	}
	return wrong
}

func TestRandomFaults(t *testing.T) { playAll(t, drawPlot) }

// The same of files that end empty, which have records without data.
func TestRandomFaultsEmptied(t *testing.T) {
	playAll(t, func(t *rapid.T) plot {
		p := drawPlot(t)
		p.empty = rapid.SliceOfN(rapid.Bool(), p.commits, p.commits).Draw(t, "empty")
		return p
	})
}

func playAll(t *testing.T, draw func(*rapid.T) plot) {
	rapid.Check(t, func(rt *rapid.T) {
		p := draw(rt)
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = p.play(t) })
		for _, w := range wrong {
			rt.Error(w)
		}
	})
}

// TestPublishedUntold: the change that publishes a queued record is made, but answered as if
// it were refused, and then the record cannot be read. It is the draft's own all the same,
// and the next commit, of other bytes, replaces it.
func TestPublishedUntold(t *testing.T) {
	p := plot{kind: "into", size: 122, commits: 3, faults: []fault{
		{op: "update", nth: 2, kind: image.Credentials, what: after},
		{op: "get", nth: 3, kind: image.Other, what: before}, {op: "get", nth: 4, kind: image.Other, what: after},
	}}
	var wrong []string
	synctest.Test(t, func(t *testing.T) { wrong = p.play(t) })
	for _, w := range wrong {
		t.Error(w)
	}
}
