package test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// changes are the requests since the last call that change something, and how many
// others there were.
func (w *wire) changes() (changes []string, asked int) {
	for _, e := range w.exchanges() {
		method, path, _ := strings.Cut(e.what, " ")
		switch {
		case method == "GET":
			asked++
		case strings.HasSuffix(path, "/file"):
			changes = append(changes, "upload")
		default:
			changes = append(changes, strings.ToLower(method))
		}
	}
	return changes, asked
}

// What programs set on files reaches the service in as few requests as SEMANTICS
// says, and another mount shows it.
func TestAttributesInFewRequests(t *testing.T) {
	w, s := newWire(t, services[0])
	const name = "attributes.img"
	s.cleanName(t, name)
	source := file(t, name, noise(70, 1<<20))
	run(t, "sh", "-c", `chmod 640 "$0" && touch -d 2021-02-03T04:05:06Z "$0"`, source)
	beside := t.TempDir()
	run(t, "tar", "-C", filepath.Dir(source), "-cf", filepath.Join(beside, "archive.tar"), name)
	commit := []string{"post", "upload", "patch"}
	set := []string{"post", "upload", "patch", "patch"}
	for _, c := range []struct {
		what, script string
		over         bool // the file is there already
		changes      []string
		asked        int
	}{
		{"cp -p", `cp -p "$0" .`, false, commit, 1},
		{"tar -x", `tar -xpf "$1/archive.tar"`, false, commit, 1},
		{"install", `install -p -m 640 "$0" .`, false, set, 1},
		{"mv", `cp -p "$0" "$1" && mv "$1/attributes.img" .`, false, commit, 1},
		{"rsync", `rsync -a "$0" .`, false, set, 1},
		{"rsync --inplace", `rsync -a --inplace "$0" .`, false, set, 1},
		{"rsync again", `rsync -a "$0" .`, true, nil, 0},
		{"a script", `touch -d @7 attributes.img; chmod 600 attributes.img; chmod 640 attributes.img; touch -r "$0" attributes.img`, true, []string{"patch"}, 0},
	} {
		m := mountOn(t, s)
		if c.over { // and the service has accepted a change of this mount
			run(t, "chmod", "600", m.path(name))
			run(t, "chmod", "640", m.path(name))
			run(t, "sync", m.path(name))
		} else {
			run(t, "rm", "-f", m.path(name))
		}
		run(t, "ls", m.dir)
		w.exchanges()
		run(t, "sh", "-ec", `cd "$2"; `+c.script, source, beside, m.dir)
		m.settled()
		m.unmount()
		if changes, asked := w.changes(); !slices.Equal(changes, c.changes) || asked != c.asked && (c.what != "rsync" || asked != c.asked+1) { // its rename may come before the draft is put away, and looks first
			t.Errorf("%s changed by %v and asked %d times, want %v and %d", c.what, changes, asked, c.changes, c.asked)
		}
		holds(t, s.one(t, name), noise(70, 1<<20))
		again := mountOn(t, s)
		if got, want := stat(t, "%Y %a", again.path(name)), stat(t, "%Y %a", source); got != want {
			t.Errorf("%s: another mount shows time and mode %s, want %s", c.what, got, want)
		}
		again.unmount()
	}
}
