package staging

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// tree reads every file of a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		all[e.Name()] = string(text)
	}
	return all
}

// What a later version of this program has left is listed and told, and otherwise left
// alone, by whatever goes through staging, also where its files look as if nobody needed
// them.
func TestNewer(t *testing.T) {
	dir := t.TempDir()
	path := openStore(t, dir).Dir()
	n := 0
	put := func(text string, suffixes ...string) string {
		n++
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)
		for _, suffix := range suffixes {
			must(t, os.WriteFile(filepath.Join(path, id+suffix), []byte(strings.ReplaceAll(text, "ID", id)), 0o600))
		}
		return id
	}
	drafts := map[string]bool{}
	for _, rest := range []string{
		`"state":"open"`, `"state":"committed"`, `"state":"committing","unlinked":true`, `"state":"failed"`,
		`"state":"abandoned","updated_at":"2001-01-01T00:00:00Z"`, `"state":{"of":"another kind"}`, `"verdict":"unlinked","state":"owed"`,
	} {
		drafts[put(`{"version":9,"draft":"ID","service":"`+service+`",`+rest+`}`, journalSuffix, dataSuffix)] = true
	}
	aside := put(`{"version":9,"draft":"ID"}`, journalSuffix, asideSuffix, dataSuffix)
	drafts[aside] = true
	put(`{"version":9,"draft":"ID"}`, asideSuffix)            // of a draft that was being made
	put(`{"version":9,"draft":"ID"}`, goneSuffix, dataSuffix) // was being discarded
	known := `{"version":1,"rename":"ID","image":{"id":"a"},"service":"` + service + `"}` + "\n"
	renamed := map[string]bool{}
	for _, text := range []string{
		`{"version":9,"rename":"ID","image":{"id":"a"},"service":"` + service + `"}` + "\n",
		known + `{"version":9}` + "\n",
		known + `{"version":2,"rename":["another","kind"]}` + "\n",
	} {
		renamed[put(text, renameSuffix)] = true
	}
	before := tree(t, path)

	var log bytes.Buffer
	s, err := Open(Options{Dir: dir, Service: service, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	for _, name := range []string{aside + asideSuffix, "00000009-0000-4000-8000-000000000000" + asideSuffix, "00000010-0000-4000-8000-000000000000" + goneSuffix} {
		if n := strings.Count(log.String(), "file="+name); n != 1 {
			t.Errorf("%s is told %d times:\n%s", name, n, log.String())
		}
	}
	found := kept(t, s)
	if len(found) != len(drafts) {
		t.Errorf("%d drafts are listed, want %d", len(found), len(drafts))
	}
	for _, r := range found {
		if !drafts[r.Draft] || !r.Newer || !strings.Contains(r.Damage, "version 9") || r.Owed() {
			t.Errorf("it is listed as %+v", r)
		}
		_, err := s.Reopen(r.Draft, ReopenSpec{})
		wantKind(t, err, image.Corrupt)
		wantKind(t, Discard(r), image.Rejected)
	}
	for _, r := range renames(t, s) {
		if !renamed[r.ID] || !r.Newer || r.Damage == "" {
			t.Errorf("it is listed as %+v", r)
		}
		_, err := s.TakeRename(r.ID)
		wantKind(t, err, image.Corrupt)
		delete(renamed, r.ID)
	}
	if len(renamed) > 0 {
		t.Errorf("not listed: %v", renamed)
	}
	if gone, err := s.ExpireAbandoned(time.Now()); err != nil || len(gone) > 0 {
		t.Errorf("expired %+v, %v", gone, err)
	}
	if all, err := Survey(dir); err != nil || len(all) != len(drafts) {
		t.Errorf("surveyed %+v, %v", all, err)
	}
	must(t, openStore(t, dir).Close())
	after := tree(t, path)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s is %q, was %q", name, after[name], text)
		}
	}
}
