package staging

import (
	"testing"

	"github.com/imagefs/imagefs/image"
)

// The journal knows that a draft goes with an image, until the draft goes on.
func TestRemoving(t *testing.T) {
	s := openStore(t, t.TempDir())
	d := create(t, s, Spec{Name: "f", Entry: "f", Replaces: "old"})
	must(t, d.Accept(t.Context(), image.Attributes{}))
	is := func(want string) {
		t.Helper()
		j, err := s.readJournal(d.ID())
		must(t, err)
		if j.Removing != want {
			t.Errorf("it goes with %q, want %q", j.Removing, want)
		}
	}
	must(t, d.Removing("old"))
	is("old")
	must(t, d.Update(func(r *Record) { r.Settings.Tags = &[]string{"t"} }))
	is("old")
	must(t, d.Removing(""))
	is("")
	must(t, d.Removing("old"))
	must(t, d.Rename("g", "g", nil)) // it is there, and not where it was being removed
	is("")
	must(t, d.Removing("old"))
	must(t, d.Update(func(r *Record) { r.State = StateCreated }))
	is("")
	must(t, d.Discard())
}
