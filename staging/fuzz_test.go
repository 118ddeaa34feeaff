package staging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzRename: whatever the journal of a rename holds, reading it ends in a rename that can
// be noted and read again, or in an error of one line.
func FuzzRename(f *testing.F) {
	line, err := encodeRename(Rename{Rename: someRename(), RenameSpec: RenameSpec{From: "a", To: "b", Gone: "g", Moves: "m"}, ID: someDraft, Project: "p", Begun: time.Unix(1e9, 0).UTC()}, service)
	must(f, err)
	text := string(line)
	for _, seed := range []string{
		text, text + text, text[:len(text)-1], text + "{\n", "\n", "null\n", "[]\n", text + `{"version":2}` + "\n", strings.Replace(text, `"id":"a"`, `"id":""`, 1),
		strings.Replace(text, `"noted"`, `"members":[{}],"noted"`, 1), strings.Replace(text, "2001", "20010", 1), text + "\x00\x00\n",
	} {
		f.Add([]byte(seed))
	}
	s := newStore(Options{Service: service}, f.TempDir(), nil)
	path := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, text []byte) {
		must(t, os.WriteFile(path, text, 0o600))
		file, err := os.Open(path)
		must(t, err)
		defer file.Close()
		r, size, err := s.readRename(file, someDraft)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || err.Error() == "" {
				t.Fatalf("the error %q", err)
			}
			return
		}
		if size <= 0 || size > int64(len(text)) || r.ID != someDraft || r.Image.ID == "" {
			t.Fatalf("%d of %d bytes are %+v", size, len(text), r)
		}
		line, err := encodeRename(r, service)
		must(t, err)
		must(t, os.WriteFile(path, append(text[:size:size], line...), 0o600))
		again, err := os.Open(path)
		must(t, err)
		defer again.Close()
		got, end, err := s.readRename(again, someDraft)
		must(t, err)
		if diff := cmp.Diff(r, got, cmp.Comparer(time.Time.Equal)); diff != "" || end != size+int64(len(line)) {
			t.Fatal(end, diff)
		}
	})
}
