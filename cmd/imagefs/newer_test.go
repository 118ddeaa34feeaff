package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// left writes a draft whose journal is text; DRAFT stands for its id.
func left(t *testing.T, s *staging.Store, id, text string) (journal, data string) {
	t.Helper()
	journal, data = filepath.Join(s.Dir(), id+".json"), filepath.Join(s.Dir(), id+".data")
	for path, text := range map[string]string{journal: strings.ReplaceAll(text, "DRAFT", id), data: "bytes"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return journal, data
}

// No command and no mount touches a draft that a later version wrote, and a damaged one
// goes only by its id.
func TestStagedNewer(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.dir, "staging")
	s := openStaging(t, dir)
	const newer, damaged = "9d70c0ea-ff57-4087-86d1-3a09a778be6a", "dd70c0ea-ff57-4087-86d1-3a09a778be6a"
	journal, data := left(t, s, newer, `{"version":9,"draft":"DRAFT","state":"failed","service":"http://s/v2"}`)
	left(t, s, damaged, `{"version":1,"draft":"DRA`)
	plain, err := s.Create(staging.Spec{Name: "plain.img"})
	if err == nil {
		err = plain.Keep("no room")
	}
	if err != nil {
		t.Fatal(err)
	}
	text := w.mustRun("staged", "list", "--staging-dir", dir)
	for _, want := range []string{"9d70c0ea  newer", "its journal has version 9", "dd70c0ea  damaged"} {
		if !strings.Contains(text, want) {
			t.Errorf("list lacks %q:\n%s", want, text)
		}
	}
	_, stderr, code := w.run("staged", "discard", "--all", "--yes", "--staging-dir", dir)
	if code != exitOK || !strings.Contains(stderr, "2 of 3 drafts are left (1 damaged, 1 newer)") {
		t.Errorf("discard --all: %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"retry"}, {"discard", "--yes"}, {"export"}} {
		args = append(append([]string{"staged"}, args...), "--staging-dir", dir, newer)
		if args[1] == "export" {
			args = append(args, filepath.Join(w.dir, "out"))
		}
		if got := w.mustFail(exitDraft, args...); !strings.Contains(got, "later version of imagefs") || !strings.Contains(got, data) {
			t.Errorf("%v: %s", args, got)
		}
	}
	w.mustRun("staged", "discard", "--yes", "--staging-dir", dir, damaged)
	all, err := staging.Survey(dir)
	if err != nil || len(all) != 1 || all[0].Draft != newer {
		t.Errorf("left are %+v, %v", all, err)
	}
	for path, want := range map[string]string{journal: `{"version":9,"draft":"` + newer + `","state":"failed","service":"http://s/v2"}`, data: "bytes"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
}

// A mount names the file, and what it waits for.
func TestNewerIsNoted(t *testing.T) {
	k := staging.Record{Draft: "9d70c0ea-ff57-4087-86d1-3a09a778be6a", Newer: true, Damage: "its journal has version 9", Path: "/staging/9d70c0ea.data"}
	for _, readOnly := range []bool{false, true} {
		if got := fateOf(k, "", readOnly); !strings.Contains(got, "later version of imagefs") {
			t.Error(got)
		}
	}
	if got := whatNext(k, ""); got != damaged {
		t.Errorf("it is %d", got)
	}
	if err := (&stagedRooms{}).discard(t.Context(), k); codeOf(err) != exitDraft {
		t.Error(err)
	}
	if !image.Is(staging.Discard(k), image.Rejected) {
		t.Error("discarded")
	}
}
