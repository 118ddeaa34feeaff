package test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// renames are the journals of renames in the mount's staging directory.
func (m *mount) renames() []string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.staging, "*", "*.rename"))
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// A rename over what is there that is killed at any of its requests, and before their
// answers arrive, has happened after the next mount or has not: there is no name with
// two images, and no draft that brings one back.
func TestRenameKilledAtEachRequest(t *testing.T) {
	one, two, edit := noise(170, 1<<20+17), noise(171, 300<<10+1), noise(172, 5000)
	edited := slices.Concat(edit, one[len(edit):])
	patch := file(t, "patch", edit)
	const project = "11112222333344445555666677778888"
	for _, c := range []struct {
		what   string
		args   []string
		shared bool
		first  string // what is done to the files before, with $0 and $1 the paths and $2 the patch
		none   bool   // no image is there, but a file that waits, or nothing
		moved  []byte // what is renamed holds
		was    []byte // what was there held; nil for nothing
		least  int    // kills
	}{
		{what: "image", moved: one, was: two, least: 8},
		{what: "shared", shared: true, moved: one, was: two, least: 12},
		{what: "trash", args: []string{"--trash", "1h"}, moved: one, was: two, least: 10},
		{what: "edited", args: []string{"--writeback"}, first: `dd if="$2" of="$0" conv=notrunc status=none`, moved: edited, was: two, least: 8},
		{what: "over-edited", args: []string{"--writeback"}, first: `cp "$2" "$1"`, moved: one, was: edit, least: 8},
		{what: "over-new", args: []string{"--writeback"}, first: `cp "$2" "$1"`, none: true, moved: one, was: edit, least: 2},
		{what: "edited-away", args: []string{"--writeback"}, first: `dd if="$2" of="$0" conv=notrunc status=none`, none: true, moved: edited, least: 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			p, s := newStopper(t, embedded(t))
			m := mountOn(t, s, c.args...)
			kills := 0
			// stopped kills at one moment; false when the rename ended before it came.
			stopped := func(nth int, w where) bool {
				name := c.what + "-" + strconv.Itoa(nth) + "-" + strconv.Itoa(int(w))
				from, to := name+"-from.img", name+"-to.img"
				moves := s.upload(t, image.New{Name: from}, one)
				if !c.none {
					gold := image.New{Name: to, Tags: []string{"gold"}}
					if c.shared {
						gold.Visibility = image.VisibilityShared
					}
					goes := s.upload(t, gold, two)
					if c.shared {
						if err := s.api.AddMember(t.Context(), goes.ID, project); err != nil {
							t.Fatal(err)
						}
					}
				}
				if c.first != "" {
					run(t, "sh", "-c", c.first, m.path(from), m.path(to), patch)
				}
				at := p.arm(nth, w)
				mv := exec.Command("mv", "-f", m.path(from), m.path(to))
				if err := mv.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- mv.Wait() }()
				ok, method := false, ""
				select {
				case method = <-at.reached:
					ok = true
					kills++
					m.kill()
					p.letGo()
					<-ended //nolint:errcheck // it was not answered
					left := len(m.renames())
					m = m.afresh(c.args...)
					t.Logf("killed at the %v of %s, with %d journals", w, method, left)
				case err := <-ended:
					p.letGo()
					if err != nil {
						t.Fatalf("mv: %v", err)
					}
				}
				m.settled()
				m.until("the renames to be finished", func() bool { return len(m.renames()) == 0 })
				found := map[string]image.Image{}
				for _, img := range s.all(t) {
					if _, trashed := img.Trashed(); !trashed {
						if found[img.Name].ID != "" || img.Hidden {
							t.Errorf("the service has a second %+v", img)
						}
						found[img.Name] = img
					}
					defer s.forget(t, img)
				}
				if there, back := found[from]; back {
					holds(t, there, c.moved)
					stay := 1
					if c.was != nil {
						holds(t, found[to], c.was)
						stay = 2
					}
					if len(found) != stay || !ok {
						t.Errorf("the service has %+v", found)
					}
				} else {
					now := found[to]
					holds(t, now, c.moved)
					if len(found) != 1 || !c.none && !slices.Contains(now.Tags, "gold") || c.first == "" && now.ID != moves.ID {
						t.Errorf("the service has %+v", found)
					}
					if members, err := s.api.Members(t.Context(), now.ID); c.shared && (err != nil || len(members) != 1) {
						t.Errorf("it is shared with %v, %v", members, err)
					}
				}
				return ok
			}
			for nth := 0; stopped(nth, atRequest); nth++ {
				if !stopped(nth, atAnswer) {
					t.Errorf("the answer of request %d never came", nth)
				}
			}
			t.Logf("%d kills", kills)
			if kills < c.least {
				t.Errorf("%d kills, want %d", kills, c.least)
			}
		})
	}
}

// forget deletes an image.
func (s service) forget(t *testing.T, img image.Image) {
	t.Helper()
	if err := s.api.Delete(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
}
