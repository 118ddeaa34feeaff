package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// findings are the lines of doctor without the values that depend on the machine: the
// finding by subject.
func findings(out string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) > 1 {
			found[words[1]] = words[0]
		}
	}
	return found
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	noRanges := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				http.Error(rw, "no ranges here", http.StatusBadRequest)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
	late := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			next.ServeHTTP(rw, r)
		})
	}
	open := w.mkdir("open")
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		wrap  func(http.Handler) http.Handler
		image bool // the service has one
		args  []string
		want  map[string]string
		code  exitCode
	}{
		{"all is well", nil, true, nil, map[string]string{"FUSE": "ok", "cache": "ok", "staging": "ok", "service": "ok", "who": "note", "clock": "ok", "ranges": "ok"}, exitOK},
		{"nothing to read", nil, false, nil, map[string]string{"service": "ok", "ranges": "note"}, exitOK},
		{"no ranges", noRanges, true, nil, map[string]string{"service": "ok", "ranges": "note"}, exitOK},
		{"an hour ahead", late, false, nil, map[string]string{"clock": "note"}, exitOK},
		{"little room", nil, false, []string{"--cache-size", "1000TiB"}, map[string]string{"cache": "note"}, exitOK},
		{"no cache", nil, false, []string{"--cache-size", "0", "--read-only"}, map[string]string{"cache": "note", "staging": "ok"}, exitOK},
		{"a cache of anybody's", nil, false, []string{"--cache-dir", open}, map[string]string{"cache": "BAD", "service": "ok"}, exitLocalDir},
		{"staging of anybody's", nil, false, []string{"--staging-dir", open}, map[string]string{"cache": "ok", "staging": "BAD", "service": "ok"}, exitLocalDir},
		{"nobody there", nil, false, []string{"--endpoint", "http://127.0.0.1:1"}, map[string]string{"FUSE": "ok", "service": "BAD", "clock": ""}, exitUnreachable},
	} {
		endpoint := service(t, tc.wrap)
		if tc.image {
			upload(t, endpoint, image.New{Name: "one.img"})
		}
		out, stderr, code := w.run(append([]string{"doctor", "--endpoint", endpoint, "--cache-size", "1MiB", "--staging-dir", w.dir + "/staging"}, tc.args...)...)
		found := findings(out)
		for subject, want := range tc.want {
			if found[subject] != want {
				t.Errorf("%s: %s is %q, want %q", tc.name, subject, found[subject], want)
			}
		}
		if code != tc.code || stderr != "" {
			t.Errorf("%s: code %d, %q, want %d\n%s", tc.name, code, stderr, tc.code, out)
		}
	}
}

// Of the images that imagefs has begun, doctor names those whose file is not in staging.
func TestDoctorRemains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := service(t, nil)
	d, err := openStagingOf(t, w.dir+"/staging", url+"/v2", "").Create(staging.Spec{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Discard(); err != nil {
			t.Error(err)
		}
	}()
	marked := func(draft string) map[string]string { return map[string]string{image.PropertyDraft: draft} }
	all := []image.New{{Name: "here", Hidden: true, Properties: marked(d.ID())}, {Name: "hidden", Hidden: true}, {Name: "seen"}}
	upload(t, url, all...)
	doctor := []string{"doctor", "--endpoint", url, "--cache-size", "1MiB", "--staging-dir", w.dir + "/staging"}
	if out := w.mustRun(doctor...); strings.Contains(out, "remains") {
		t.Errorf("%s", out)
	}
	for range maxRemains + 2 {
		upload(t, url, image.New{Name: "lost", Hidden: true, Properties: marked(uuid.NewString())})
	}
	out := w.mustRun(doctor...)
	if n := strings.Count(out, `note  remains    image `); n != maxRemains || strings.Count(out, `("lost", hidden, of `) != n || !strings.Contains(out, "remains    2 more such images\n") {
		t.Errorf("%s", out)
	}
}

func TestPassesThrough(t *testing.T) {
	for release, want := range map[string]bool{"6.9.0": true, "6.8.12-generic": false, "6.18.44-fc": true, "7.0.0-rc1": true, "5.15.0": false, "": false, "odd": false} {
		if got := passesThrough(release); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}
