package test

import (
	"os"
	"strings"
	"testing"
)

// What a write costs in requests, as docs/SEMANTICS.md says: each of them takes a Glance
// some 20 ms, which a small file pays for more dearly than for its bytes.
func TestRequestsOfCommits(t *testing.T) {
	w, s := newWire(t, services[0])
	m := mountOn(t, s, "--list-ttl", "1h")
	data := file(t, "data", noise(150, 300_000))
	other := file(t, "other", noise(151, 300_000))
	for _, name := range []string{"counted.img", "kept.img", "synced.img", "touched.img"} {
		s.cleanName(t, name)
	}
	if err := os.Chmod(data, 0o640); err != nil {
		t.Fatal(err)
	}
	synced := file(t, "synced.img", noise(152, 300_000))
	if _, err := os.ReadDir(m.dir); err != nil { // warm
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		do   []string
		want string
	}{
		{"a new file", []string{"cp", data, m.path("counted.img")}, "POST PUT GET PATCH"},
		// The members of a shared image are looked at.
		{"overwrite", []string{"cp", other, m.path("counted.img")}, "GET GET POST PUT GET PATCH GET DELETE"},
		{"empty", []string{"sh", "-c", ": > '" + m.path("counted.img") + "'"}, "GET GET POST PATCH GET DELETE"},
		{"fill", []string{"cp", other, m.path("counted.img")}, "GET PATCH PUT GET PATCH"},
		{"cp -p", []string{"cp", "-p", data, m.path("kept.img")}, "POST PUT GET PATCH"},
		{"touch", []string{"touch", m.path("touched.img")}, "POST"},
		{"rsync -a", []string{"rsync", "-a", synced, m.dir + "/"}, "POST PUT GET PATCH PATCH"}, // or one GET more, see below
		{"rsync -a again", []string{"rsync", "-a", synced, m.dir + "/"}, ""},
	} {
		w.exchanges()
		run(t, c.do[0], c.do[1:]...)
		m.settled()
		var got, asked []string
		for _, e := range w.exchanges() {
			asked = append(asked, e.what)
			if strings.Contains(e.what, "/info/usage") { // asked for behind statfs
				continue
			}
			method, _, _ := strings.Cut(e.what, " ")
			got = append(got, method)
		}
		// A rename that comes before the draft is put away looks at the image first.
		if early := strings.Replace(c.want, "PATCH PATCH", "PATCH GET PATCH", 1); strings.Join(got, " ") != c.want && strings.Join(got, " ") != early {
			t.Errorf("%s: %s, want %s: %q", c.what, strings.Join(got, " "), c.want, asked)
		}
	}
}
