package fs

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// left is a draft that an earlier run has left in the house, its close answered.
func (h *house) left(t *testing.T, spec DraftSpec, data string) Owed {
	t.Helper()
	d := must(h.Create(spec))
	must(d.WriteAt(t.Context(), []byte(data), 0))
	if err := d.Accept(t.Context(), image.Attributes{}); err != nil {
		t.Fatal(err)
	}
	return Owed{Draft: d, Entry: spec.Entry, Name: spec.Name, Under: spec.Replaces, Since: time.Now()}
}

func owing(owed ...Owed) func(*Options) {
	return func(o *Options) {
		quickly(o)
		o.Writeback, o.Owed = false, owed
	}
}

// What an earlier run has left shows at once, can be used, and becomes an image; what
// it replaces goes then.
func TestResume(t *testing.T) {
	h, away := awayHouse()
	old := h.add("edited", "what was there")
	m := mountHouse(t, h, owing(
		h.left(t, DraftSpec{Name: "new", Entry: "new"}, "of an earlier run"),
		h.left(t, DraftSpec{Name: "edited", Entry: "edited", Replaces: &old}, "edited by an earlier run"),
		h.left(t, DraftSpec{Name: "gone", Entry: "gone"}, "not wanted"),
		h.left(t, DraftSpec{Name: "moved", Entry: "moved"}, "and moved"),
	))
	m.want("new", "of an earlier run")
	m.want("edited", "edited by an earlier run")
	if list := must(os.ReadDir(m.dir)); len(list) != 4 {
		t.Errorf("the directory lists %v", list)
	}
	if w := m.server.Waiting(); len(w) != 4 {
		t.Errorf("waiting: %+v", w)
	}
	if err := os.Remove(m.path("gone")); err != nil {
		t.Error(err)
	}
	if err := os.Rename(m.path("moved"), m.path("there")); err != nil {
		t.Error(err)
	}
	away.on.Store(false)
	m.settled()
	for name, data := range map[string]string{"new": "of an earlier run", "edited": "edited by an earlier run", "there": "and moved"} {
		m.want(name, data)
		if m.content(name) != data {
			t.Errorf("the image of %s is %q", name, m.content(name))
		}
	}
	m.absent("gone")
	if m.count() != 3 {
		t.Errorf("%d images", m.count())
	}
}

// Without --writeback, what an earlier run has left is written on and committed by the
// close.
func TestResumeAndWrite(t *testing.T) {
	h, away := awayHouse()
	m := mountHouse(t, h, owing(h.left(t, DraftSpec{Name: "new", Entry: "new"}, "of an earlier run")))
	m.eventually("a try", func() bool { return away.seen.Load() > 0 })
	m.write("new", "of this run")
	if m.content("new") != "of this run" || m.did("commit", "new") != 1 {
		t.Errorf("the image is %q, after %v", m.content("new"), m.log)
	}
	m.settled()
	m.want("new", "of this run")
	if m.count() != 1 {
		t.Errorf("%d images", m.count())
	}
}

// A close that fails over what an earlier run has left does not give that up: it goes on
// waiting, and the journal says so.
func TestResumeAndFail(t *testing.T) {
	h, away := awayHouse()
	refused := &failing{op: "commit", kind: image.Quota}
	refused.on.Store(true)
	h.hook = both(away.hook, refused.hook)
	m := mountHouse(t, h, owing(h.left(t, DraftSpec{Name: "new", Entry: "new"}, "of an earlier run")))
	m.eventually("a try", func() bool { return away.seen.Load() > 0 })
	f := must(os.OpenFile(m.path("new"), os.O_WRONLY|os.O_APPEND, 0))
	must(f.WriteString(", and this one"))
	wantErr(t, f.Close(), syscall.EDQUOT)
	m.eventually("the journal to say that its commit is owed", func() bool { return m.each()[0].accepted })
	m.want("new", "of an earlier run, and this one")
	away.on.Store(false)
	m.settled()
	if m.content("new") != "of an earlier run, and this one" || m.count() != 1 {
		t.Errorf("the image is %q of %d", m.content("new"), m.count())
	}
}

// A stranger at the entry is hidden as long as the draft waits, and never touched.
func TestResumeOverStranger(t *testing.T) {
	h, away := awayHouse()
	stranger := h.add("new", "of somebody else")
	m := mountHouse(t, h, owing(h.left(t, DraftSpec{Name: "new", Entry: "new"}, "of an earlier run")))
	m.want("new", "of an earlier run")
	away.on.Store(false)
	m.settled()
	m.eventually("the stranger to be back", func() bool {
		got, err := os.ReadFile(m.path("new"))
		return err == nil && string(got) == "of somebody else"
	})
	if m.count() != 2 || m.the("new").ID != stranger.ID {
		t.Errorf("%d images, the entry has %+v", m.count(), m.the("new"))
	}
}

// A mount that cannot be leaves them as they are.
func TestResumeWithoutMount(t *testing.T) {
	h := newHouse()
	opts := Options{}
	owing(h.left(t, DraftSpec{Name: "new", Entry: "new"}, "of an earlier run"))(&opts)
	if _, err := Mount(t.Context(), "/nonexistent/mountpoint", h.rooms(), opts); err == nil {
		t.Fatal("mounted on nothing")
	}
	if ends := h.ends(); ends["closed"] != 1 {
		t.Errorf("drafts ended %v", ends)
	}
}

// What an earlier run has left keeps no node of an entry that nobody has looked up.
func TestResumeKeepsNoNode(t *testing.T) {
	h := newHouse()
	old := h.add("edited", "what was there")
	m := mountHouse(t, h, owing(
		h.left(t, DraftSpec{Name: "new", Entry: "new"}, "of an earlier run"),
		h.left(t, DraftSpec{Name: "edited", Entry: "edited", Replaces: &old}, "edited by an earlier run"),
	))
	m.settled()
	m.eventually("the nodes to go", func() bool { return m.nodes() == 0 })
	m.want("new", "of an earlier run")
	m.want("edited", "edited by an earlier run")
}
