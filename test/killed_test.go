package test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// afresh mounts anew over the staging and cache directories that a killed daemon left.
func (m *mount) afresh(args ...string) *mount {
	m.t.Helper()
	next := mountOn(m.t, m.service, append([]string{"--staging-dir", m.staging, "--cache-dir", m.cache}, args...)...)
	next.staging, next.cache = m.staging, m.cache
	return next
}

// journals are what staging has. One that is being replaced or removed is read by the
// next call.
func (m *mount) journals() []staging.Record {
	m.t.Helper()
	var all []staging.Record
	for _, path := range m.drafts() {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			m.t.Fatal(err)
		}
		var r staging.Record
		if err := json.Unmarshal(text, &r); err != nil {
			m.t.Fatalf("%s: %v", path, err)
		}
		all = append(all, r)
	}
	return all
}

// all lists every image of the service, also the hidden ones.
func (s service) all(t *testing.T) []image.Image {
	t.Helper()
	var found []image.Image
	for _, hidden := range []bool{false, true} {
		_, err := s.api.List(t.Context(), client.Filter{Hidden: hidden}, func(page []image.Image) error {
			found = append(found, page...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// A commit that is killed at any of its requests, at their bodies' first byte, middle
// and last byte, and before their answers arrive, is finished by the next mount: one
// image of the name, with the bytes that were closed, and nothing else.
func TestKilledAtEachRequest(t *testing.T) {
	before, after := noise(160, 2<<20+17), noise(161, 1<<20+4711)
	edited := slices.Concat(before[:4096], after[:4096], before[8192:])
	source, patch := file(t, "source", after), file(t, "patch", after[:4096])
	for _, c := range []struct {
		what, script string // with $0 the path, $1 the new bytes and $2 the patch
		before       []byte // of the image that is there; nil: none
		queued       bool   // a record without data is there
		after        []byte
	}{
		{what: "new", script: `cp "$1" "$0"`, after: after},
		{what: "overwritten", script: `cp "$1" "$0"`, before: before, after: after},
		{what: "edited", script: `dd if="$2" of="$0" bs=4096 seek=1 conv=notrunc status=none`, before: before, after: edited},
		{what: "emptied", script: `truncate -s 0 "$0"`, before: before, after: []byte{}},
		{what: "filled", script: `cp "$1" "$0"`, queued: true, after: after},
		{what: "touched", script: `touch "$0"`, after: []byte{}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			p, s := newStopper(t, embedded(t))
			m := mountOn(t, s)
			kills := 0
			// stopped kills at one moment; false when the commit ended before it came.
			stopped := func(nth int, w where) (method string, ok bool) {
				name := c.what + "-" + strconv.Itoa(nth) + "-" + strconv.Itoa(int(w)) + ".img"
				if c.before != nil {
					s.upload(t, image.New{Name: name, Tags: []string{"gold"}}, c.before)
				}
				if c.queued {
					if _, err := s.api.Create(t.Context(), image.New{Name: name, Tags: []string{"gold"}}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := os.Stat(m.path(name)); (err == nil) != (c.before != nil || c.queued) {
					t.Fatal(err)
				}
				at := p.arm(nth, w)
				program := exec.Command("sh", "-c", c.script, m.path(name), source, patch)
				if err := program.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- program.Wait() }()
				var err error
				done := false
				m.until("the moment, or the end of the commit", func() bool {
					select {
					case method = <-at.reached:
						return true
					case err = <-ended:
						done = true
					default:
					}
					return done && len(m.drafts()) == 0 // an empty file is committed behind its close
				})
				if method == "" {
					if err != nil {
						t.Fatalf("%v: %v", at, err)
					}
					p.letGo()
					s.check(t, name, c.after, c.before != nil || c.queued)
					return "", false
				}
				kills++
				m.kill()
				p.letGo()
				if !done {
					<-ended //nolint:errcheck // its close may have been answered or not
				}
				journals := m.journals()
				m = m.afresh()
				for _, r := range journals {
					t.Logf("killed at the %v of %s, in state %s", at.where, method, r.State)
				}
				m.settled()
				s.check(t, name, c.after, c.before != nil || c.queued)
				return method, true
			}
			for nth := 0; ; nth++ {
				method, ok := stopped(nth, atRequest)
				if !ok {
					break
				}
				places := []where{atAnswer}
				if method == "PUT" {
					places = []where{atFirstByte, atMiddle, atLastByte, atAnswer}
				}
				for _, w := range places {
					if _, ok := stopped(nth, w); !ok {
						t.Errorf("the %v of request %d never came", w, nth)
					}
				}
			}
			t.Logf("%d kills", kills)
			if kills < 2 {
				t.Error("there was nothing to kill")
			}
		})
	}
}

// check finds the service's one image right, which is all that it has, and removes it.
func (s service) check(t *testing.T, name string, want []byte, tagged bool) {
	t.Helper()
	all := s.all(t)
	if len(all) != 1 || all[0].Name != name || all[0].Hidden || all[0].Properties[image.PropertyDraft] != "" {
		t.Errorf("want one image %s, the service has %+v", name, all)
	}
	for _, img := range all {
		if tagged && !slices.Equal(img.Tags, []string{"gold"}) {
			t.Errorf("image %s has the tags %v, its predecessor had gold", img.ID, img.Tags)
		}
		switch {
		case len(want) > 0:
			holds(t, img, want)
		case img.Status != image.StatusQueued:
			t.Errorf("want a record without data, the service has %+v", img)
		}
		if err := s.api.Delete(t.Context(), img.ID); err != nil {
			t.Error(err)
		}
	}
}

// recovered waits until no draft is left whose commit had begun, and no rename.
func (m *mount) recovered() {
	m.t.Helper()
	defer func() {
		if m.t.Failed() {
			m.t.Logf("in staging: %+v", m.journals())
		}
	}()
	m.until("what was being committed to be committed", func() bool {
		return len(m.renames()) == 0 && !slices.ContainsFunc(m.journals(), func(r staging.Record) bool { return r.State != staging.StateOpen && r.State != staging.StateAbandoned })
	})
}

// discardKept checks that status lists what is kept, and discards it.
func (m *mount) discardKept(kept []staging.Record) {
	m.t.Helper()
	var listed []string
	for _, d := range m.snapshot().Drafts {
		listed = append(listed, d.ID)
	}
	for _, r := range kept {
		if !slices.Contains(listed, r.Draft) {
			m.t.Errorf("draft %s of %s is kept, and status lists %v", r.Draft, r.Name, listed)
		}
	}
	found, err := staging.Survey(m.staging)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, r := range found {
		if err := staging.Discard(r); err != nil {
			m.t.Error(err)
		}
	}
}
