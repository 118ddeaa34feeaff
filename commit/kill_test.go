package commit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// moment is what a daemon killed at one request leaves: the staging directory
// and the service, just before the request arrives or just after its effect.
type moment struct {
	call    call
	journal staging.Record
	data    []byte
	images  []image.Image
}

// witness copies the staging directory and reads the copy as the next run does.
func (h *house) witness(c call, content []byte) moment {
	h.t.Helper()
	dir := memoryDir(h.t)
	copyStaging(h.t, dir, h.dir)
	check(h.t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	}))
	s, err := staging.Open(staging.Options{Dir: dir, Service: testService})
	check(h.t, err)
	kept, err := s.Kept()
	check(h.t, errors.Join(err, s.Close()))
	m := moment{call: c, images: h.service.all()}
	if len(kept) > 1 {
		h.t.Fatalf("%v: %d drafts", c, len(kept))
	}
	if len(kept) == 1 {
		m.journal = kept[0]
		m.data, err = os.ReadFile(kept[0].Path)
		check(h.t, err)
		if kept[0].Damage != "" || content != nil && !bytes.Equal(m.data, content) {
			h.t.Errorf("%v: the draft is damaged: %s", c, kept[0].Damage)
		}
	}
	return m
}

// copyStaging copies a staging directory in which a journal may just be replaced: of
// what it lists, something may be gone a moment later.
func copyStaging(t testing.TB, to, from string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	for tries := 1; errors.Is(err, fs.ErrNotExist) && tries < 100; tries++ {
		check(t, errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o700)))
		err = os.CopyFS(to, os.DirFS(from))
	}
	check(t, err)
}

// recognised fails unless the journal names every half-made record, and the
// state is the one that announces the call.
func (m moment) recognised(t *testing.T, old, target string) {
	t.Helper()
	r := m.journal
	for _, img := range m.images {
		mark := img.Properties[image.PropertyDraft]
		named := r.Draft != "" && (r.Image == img.ID || r.Into == img.ID || r.Replaces == img.ID)
		switch {
		case mark != "" && (!named || mark != r.Draft):
			t.Errorf("%v: record %s is marked with %s, the journal is %+v", m.call, img.ID, mark, r)
		case mark == "" && img.Hidden && img.ID != old:
			t.Errorf("%v: record %s is hidden and nobody knows why", m.call, img.ID)
		case img.ID != old && img.ID != target && !named:
			t.Errorf("%v: record %s belongs to nobody; the journal is %+v", m.call, img.ID, r)
		}
	}
	allowed := map[string][]staging.State{
		"create": {staging.StateCommitting}, "addmember": {staging.StateCommitting},
		"upload": {staging.StateCreated}, "update": {staging.StateUploaded},
		"delete": {staging.StateVisible},
	}[m.call.op]
	if m.call.op == "delete" && m.call.id == r.Image { // taking back
		allowed = []staging.State{staging.StateCommitting, staging.StateCreated, staging.StateUploaded, staging.StateVisible, staging.StateFailed}
	}
	if m.call.op == "update" && r.Into != "" { // making ready, and putting back
		allowed = append(allowed, staging.StateCommitting, staging.StateCreated)
	}
	if m.call.op == "update" && m.call.id == old && r.Into == "" { // moving aside
		allowed = []staging.State{staging.StateVisible}
	}
	for _, s := range allowed {
		if s == r.State {
			return
		}
	}
	if allowed != nil {
		t.Errorf("%v happens in state %s", m.call, r.State)
	}
}

// trashed ends the name of a case where what is replaced goes to the trash.
const trashed = "trash"

// TestKilledAtAnyRequest looks at what is on disk and in the service before and
// after each request of commits that succeed, fail and try again.
func TestKilledAtAnyRequest(t *testing.T) {
	for _, c := range []struct {
		name    string
		faults  []fault
		spec    func(*house) (staging.Spec, image.Image)
		content []byte
	}{
		{"new", nil, newSpec, pattern(900)},
		{"new, cut off", one(nth("upload", 1, image.Rejected, cut)), newSpec, pattern(900)},
		{"new, removal away", []fault{nth("upload", 1, image.Rejected, cut), nth("delete", 1, image.Forbidden, before)}, newSpec, pattern(900)},
		{"new, damaged", one(nth("upload", 1, 0, damaged)), newSpec, pattern(900)},
		{"new, unhide refused", one(nth("update", 1, image.Forbidden, before)), newSpec, pattern(900)},
		{"empty", nil, newSpec, nil},
		{"replace", nil, overSpec, pattern(900)},
		{"replace by empty", nil, overSpec, nil},
		{"replace, in use", one(nth("delete", 1, image.Busy, before)), overSpec, pattern(900)},
		{"replace, retire refused", one(nth("delete", 1, image.Protected, before)), overSpec, pattern(900)},
		{"into", nil, intoSpec, pattern(900)},
		{"into, rejected", one(nth("upload", 1, image.Rejected, before)), intoSpec, pattern(900)},
		{"into, spoilt", one(nth("upload", 1, 0, damaged)), intoSpec, pattern(900)},
		{"edit", nil, editSpec, pattern(900)},
		{"replace, with " + trashed, nil, overSpec, pattern(900)},
		{"edit, with " + trashed, nil, editSpec, pattern(900)},
		{"replace, not to be " + trashed, one(nth("update", 2, image.Forbidden, before)), overSpec, pattern(900)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(c.faults...)
			if strings.HasSuffix(c.name, trashed) {
				f.keep = time.Hour
			}
			h := newHouse(t, f)
			spec, was := c.spec(h)
			d := h.draft(spec, c.content)
			content := c.content
			if spec.Base != nil {
				content = nil // the data file holds a part only
			}
			var moments []moment
			f.hook = func(c call) { moments = append(moments, h.witness(c, content)) }
			img, err := h.CommitEmpty(ctxb, d)
			f.hook = nil
			if err != nil {
				t.Log(err)
			}
			moments = append(moments, h.witness(call{op: "the end"}, content))
			for _, m := range moments {
				m.recognised(t, was.ID, img.ID)
				visible := 0
				for _, img := range m.images {
					if !img.Hidden && img.Status == image.StatusActive && img.Name == "x" {
						visible++
					}
				}
				if was.Status == image.StatusActive && visible == 0 && len(c.content) > 0 {
					t.Errorf("%v: no image of the name is to be seen", m.call)
				}
				if visible > 1 && m.journal.State != staging.StateVisible && m.journal.State != staging.StateUploaded {
					t.Errorf("%v: two images of the name in state %s", m.call, m.journal.State)
				}
			}
			if len(moments) < 3 {
				t.Errorf("%d moments", len(moments))
			}
		})
	}
}

func newSpec(*house) (staging.Spec, image.Image) {
	return staging.Spec{Name: "x", Entry: "x"}, image.Image{}
}

func overSpec(h *house) (staging.Spec, image.Image) {
	old := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
	h.service.members[old.ID] = []image.Member{{Project: "p"}}
	return over(old), old
}

func editSpec(h *house) (staging.Spec, image.Image) {
	old := h.service.put(image.Image{Name: "x", DiskFormat: "raw"}, pattern(2000))
	return h.edit(old), old
}

func intoSpec(h *house) (staging.Spec, image.Image) {
	q := h.service.put(image.Image{Name: "x"}, nil)
	return staging.Spec{Name: "x", Entry: "x", Into: q.ID, Inherit: &q}, q
}

// TestJournalFails: a full local disk ends the commit and takes everything back.
func TestJournalFails(t *testing.T) {
	for fails := range 5 {
		t.Run(fmt.Sprint("write ", fails), func(t *testing.T) {
			h := newHouse(t, newFake())
			spec, old := overSpec(h)
			d := h.draft(spec, pattern(900))
			// The journal is written aside first: a directory in its place fails that.
			aside := strings.TrimSuffix(d.Path(), ".data") + ".json.tmp"
			block := func() { check(t, os.MkdirAll(filepath.Join(aside, "x"), 0o700)) }
			steps := []call{{"members", "", true}, {"addmember", "", true}, {"upload", "", true}, {"update", "", true}, {"delete", "", true}}
			h.service.hook = func(c call) {
				if c.op == steps[fails].op && c.done {
					block()
				}
			}
			img, err := h.Commit(ctxb, d)
			h.service.hook = nil
			check(t, os.RemoveAll(aside))
			if fails == 4 { // everything was done but noting it
				if err != nil || h.only().ID != img.ID {
					t.Errorf("%v: %+v", err, h.service.all())
				}
				h.write(d, []byte("more"), 0)
			} else if err == nil || h.only().ID != old.ID {
				t.Errorf("%v: %+v", err, h.service.all())
			}
			next, err := h.Commit(ctxb, d)
			if err != nil || h.only().ID != next.ID || next.ID == img.ID {
				t.Errorf("the next commit: %v, %+v", err, h.service.all())
			}
		})
	}
}
