package main

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

// handedDown writes a file whose opener is gone by then: no close waits for the upload,
// which is larger than what a connection holds.
func (w *world) handedDown(m, name string) {
	w.t.Helper()
	w.mustSh("mkfifo pipe; (cat pipe >&3 2>/dev/null &) 3>" + m + "/" + name + "; head -c 32M /dev/zero > pipe")
	eventually(w.t, "the upload begins", func() bool { s, err := w.ask(m); return err == nil && len(s.Uploads) == 1 })
}

// unmount names the files that no close has told of and that were not uploaded.
func TestUnmountNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	t.Run("not in time", func(t *testing.T) {
		t.Parallel()
		_, endpoint := gatedService(t)
		w := newWorld(t)
		m := w.mounted(endpoint, "--stop-timeout", "1s")
		w.handedDown(m, "left.img")
		said := w.mustFail(exitLeft, "unmount", m)
		if !strings.Contains(said, `"left.img" was not uploaded`) || !strings.Contains(said, "the next mount goes on with it") {
			t.Errorf("it says %s", said)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		g := &gate{open: make(chan struct{})}
		endpoint := service(t, func(next http.Handler) http.Handler {
			return g.wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					http.Error(rw, "no", http.StatusForbidden)
					return
				}
				next.ServeHTTP(rw, r)
			}))
		})
		t.Cleanup(g.release)
		w := newWorld(t)
		m := w.mounted(endpoint)
		w.handedDown(m, "refused.img")
		p := w.start("unmount", m)
		eventually(t, "unmount waits", func() bool { return strings.Contains(p.err.String(), "waiting for the upload of refused.img") })
		g.release()
		if _, said, code := p.end(); code != exitLeft || !strings.Contains(said, `"refused.img" was not uploaded (`) || !strings.Contains(said, "see imagefs staged") {
			t.Errorf("code %d: %s", code, said)
		}
	})
	t.Run("refused before", func(t *testing.T) {
		t.Parallel()
		endpoint := service(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					http.Error(rw, "no", http.StatusForbidden)
					return
				}
				next.ServeHTTP(rw, r)
			})
		})
		w := newWorld(t)
		m := w.mounted(endpoint)
		if _, err := w.sh("echo data > source; cp source m/told.img"); err == nil {
			t.Error("cp succeeded")
		}
		if _, said, code := w.run("unmount", m); code != exitOK || said != "" {
			t.Errorf("code %d: %s", code, said)
		}
	})
}

// Where staging cannot be looked through, what the daemon has said last is told of, each
// file once, unless its bytes are gone.
func TestLeftOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/d1.data"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	last := metrics.Snapshot{
		Waiting: []metrics.Waiting{{Name: "one", Draft: "d1", Path: path, Error: "away"}, {Name: "two", Draft: "d2", Path: dir + "/d2.data"}},
		Uploads: []metrics.Upload{{Name: "one", Draft: "d1", Path: path}, {Name: "old daemon", Draft: "d3"}},
	}
	left := lookBefore(metrics.Snapshot{}).failures(last)
	if len(left) != 1 || codeOf(left[0]) != exitLeft || !strings.Contains(left[0].Error(), `"one" was not uploaded (away)`) {
		t.Errorf("%v", left)
	}
}

// Only what this mount has left since is named.
func TestLeftBehind(t *testing.T) {
	dir := t.TempDir()
	s := openStaging(t, dir)
	make := func(s *staging.Store, name string, end func(*staging.Draft) error) *staging.Draft {
		t.Helper()
		d, err := s.Create(staging.Spec{Name: name, Entry: name})
		if err == nil {
			_, err = d.WriteAt(t.Context(), []byte("x"), 0)
		}
		if err == nil && end != nil {
			err = end(d)
		}
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	failed := func(d *staging.Draft) error { return d.Keep("why") }
	make(s, "before", failed)
	failing := make(s, "failing", func(d *staging.Draft) error {
		return d.Update(func(r *staging.Record) { r.State = staging.StateFailed })
	})
	waiting := make(s, "waiting", func(d *staging.Draft) error {
		return d.Update(func(r *staging.Record) { r.State = staging.StateFailed })
	})
	left := lookBefore(metrics.Snapshot{
		Options: metrics.Options{StagingDir: dir}, Service: metrics.Service{URL: "http://s/v2"},
		Waiting: []metrics.Waiting{{Name: "waiting", Draft: waiting.ID()}},
	})
	make(s, "since", failed)
	make(s, "killed", func(d *staging.Draft) error { return d.Abandon("killed", true) })
	make(s, "perhaps", func(d *staging.Draft) error { return d.Abandon("killed", false) })
	make(openStagingOf(t, dir, "http://other/v2", ""), "of another service", failed)
	held := make(s, "held", nil)
	if err := errors.Join(failing.Keep("why"), waiting.Close()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, err := range left.failures(metrics.Snapshot{}) {
		names = append(names, strings.SplitN(err.Error(), `"`, 3)[1])
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "perhaps since waiting" {
		t.Errorf("named: %s", got)
	}
	if err := held.Discard(); err != nil {
		t.Fatal(err)
	}
}
