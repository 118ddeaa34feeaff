package staging

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// What was set of a draft's record is in its journal, which an imagefs that does not
// know such leaves alone; journals without it are what they always were.
func TestSettingsAreJournaled(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	d := create(t, s, Spec{Name: "n", Entry: "n"})
	write(t, d, "x", 0)
	journal := func() []byte {
		text, err := os.ReadFile(strings.TrimSuffix(d.Path(), dataSuffix) + journalSuffix)
		must(t, err)
		return text
	}
	if text := journal(); !bytes.Contains(text, []byte(`"version":1,`)) || bytes.Contains(text, []byte("settings")) {
		t.Errorf("%s", text)
	}
	visibility, tags, value := image.VisibilityPrivate, []string{}, "v"
	settings := image.Settings{Visibility: &visibility, Tags: &tags, Properties: map[string]*string{"p": &value, "gone": nil}}
	must(t, d.Update(func(r *Record) { r.Settings = settings }))
	if text := journal(); !bytes.Contains(text, []byte(`"version":2,`)) {
		t.Errorf("%s", text)
	}
	must(t, d.Keep("no"))
	d, err := s.Reopen(d.ID(), ReopenSpec{})
	must(t, err)
	if diff := cmp.Diff(settings, d.Record().Settings); diff != "" {
		t.Error(diff)
	}
	must(t, d.Rebase(nil, image.Image{ID: "i"})) // committed: the image has them
	if text := journal(); !d.Record().Settings.IsZero() || !bytes.Contains(text, []byte(`"version":1,`)) {
		t.Errorf("%s", text)
	}
	must(t, d.Discard())
}
