package fs

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// journaled returns the journals of renames that were begun, in their order.
func (h *house) journaled() []*fakeJournal {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*fakeJournal(nil), h.renames...)
}

// A rename over what is there is journaled before the draft of what is renamed, or the
// service, knows of it; the journal ends when what it replaced has gone.
func TestRenameOverIsJournaled(t *testing.T) {
	h := newHouse()
	h.add("a", "AAAA")
	h.add("b", "BBBB")
	var mu sync.Mutex // guards order
	var order []string
	h.hook = func(_ context.Context, op, what string) error {
		mu.Lock()
		defer mu.Unlock()
		switch op {
		case "journal rename", "rename draft", "rename", "retire":
			order = append(order, op)
		}
		return nil
	}
	m := mountHouse(t, h)
	from, over := must(os.OpenFile(m.path("a"), os.O_RDWR, 0)), must(os.OpenFile(m.path("b"), os.O_RDWR, 0))
	must(from.WriteString("x"))
	must(over.WriteString("y"))
	if err := os.Rename(m.path("a"), m.path("b")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	did := slices.Clone(order)
	mu.Unlock()
	if order := did; len(order) != 4 || order[0] != "journal rename" || order[1] != "rename draft" || order[2] != "rename" {
		t.Errorf("the order is %v", order)
	}
	all := h.journaled()
	if len(all) != 1 || !all[0].settled || !all[0].ended {
		t.Fatalf("journals %+v", all)
	}
	spec := all[0].spec
	if spec.From != "a" || spec.To != "b" || h.drafts[spec.Gone] == nil || !h.drafts[spec.Gone].unlinked || h.drafts[spec.Moves] == nil || h.drafts[spec.Moves].unlinked {
		t.Errorf("it says %+v", spec)
	}
	for _, f := range []*os.File{from, over} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	m.settled()
	m.want("b", "xAAA")
	if err := os.Rename(m.path("b"), m.path("c")); err != nil { // nothing is there
		t.Fatal(err)
	}
	if all := h.journaled(); len(all) != 1 {
		t.Errorf("%d journals: a plain rename needs none", len(all))
	}
}

// Where the service names the image and does not answer whether what it replaced is
// gone, the edited file goes with its image, and what waited at the name goes.
func TestRenameOverThatMayHaveLeftTheOther(t *testing.T) {
	h := newHouse()
	h.add("a", "AAAA")
	h.add("b", "BBBB")
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "retire" {
			return &image.Error{Op: op, Kind: image.Stalled}
		}
		return nil
	}
	m := mountHouse(t, h)
	from, over := must(os.OpenFile(m.path("a"), os.O_RDWR, 0)), must(os.OpenFile(m.path("b"), os.O_RDWR, 0))
	must(from.WriteString("x"))
	must(over.WriteString("y"))
	wantErr(t, os.Rename(m.path("a"), m.path("b")), syscall.EIO)
	if all := h.journaled(); len(all) != 1 || all[0].settled || !all[0].ended {
		t.Errorf("journals %+v", all)
	}
	for _, f := range []*os.File{from, over} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	m.settled()
	m.eventually("the kernel to look again", func() bool {
		_, err := os.Lstat(m.path("a"))
		return errors.Is(err, os.ErrNotExist)
	})
	if m.count() != 2 || m.did("commit", "a") != 0 || m.did("commit", "b") != 1 {
		t.Errorf("%d images are left, after %v", m.count(), m.log)
	}
}

// A rename of a file that is being edited has a journal also where nothing has the name: should
// the service not answer, the file keeps its own name, and its image is to have that again.
func TestRenameOfEditedFileIsJournaled(t *testing.T) {
	for _, unanswered := range []bool{false, true} {
		h := newHouse()
		h.add("a", "AAAA")
		h.hook = func(_ context.Context, op, _ string) error {
			if op == "rename" && unanswered {
				return &image.Error{Op: op, Kind: image.Stalled}
			}
			return nil
		}
		m := mountHouse(t, h)
		f := must(os.OpenFile(m.path("a"), os.O_RDWR, 0))
		must(f.WriteString("x"))
		want := "b"
		if err := os.Rename(m.path("a"), m.path("b")); unanswered != errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		} else if unanswered {
			want = "a"
		}
		all := h.journaled()
		if len(all) != 1 || all[0].settled == unanswered || !all[0].ended || h.drafts[all[0].spec.Moves] == nil {
			t.Fatalf("journals %+v", all)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		m.settled()
		m.want(want, "xAAA")
	}
}
