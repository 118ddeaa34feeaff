package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

// settleBound is how long what is to happen by itself may take: what waits for the
// service is tried again after five minutes at most.
const settleBound = 6 * time.Minute

// audit compares what was accepted with what is there. Nothing works meanwhile, and
// nothing is wrong.
func (s *soak) audit(all bool) {
	began := time.Now()
	var waits string // for what
	err := until("what was accepted is committed", func() (bool, error) {
		left, err := s.unsettled()
		waits = left
		return left == "", err
	})
	if err != nil {
		s.fail("%v: %s: %s", err, waits, s.stagingList())
		return
	}
	s.slowest = max(s.slowest, time.Since(began))
	s.removeDebris()
	s.discardKept()
	ctx, cancel := context.WithTimeout(context.Background(), settleBound)
	defer cancel()
	images, err := everything(ctx, s.api)
	if err != nil {
		s.fail("the audit: %v", err)
		return
	}
	found := map[string][]image.Image{}
	for _, img := range images {
		if img.Hidden || img.Properties[image.PropertyDraft] != "" || img.Status != image.StatusActive && img.Status != image.StatusQueued {
			s.fail("the service has a part of %s: %+v", img.Name, img)
		}
		found[img.Name] = append(found[img.Name], img)
	}
	for i := range fixedImages {
		if n := len(found[fixedName(i)]); n != 1 {
			s.fail("the service has %d of %s", n, fixedName(i))
		}
		delete(found, fixedName(i))
	}
	for _, w := range s.workers {
		w.audit(found)
	}
	for name, img := range found {
		s.fail("nobody has made %s: %+v", name, img)
	}
	if s.ended() {
		return
	}
	s.lists()
	for _, w := range s.workers {
		for _, f := range w.files {
			if state, _ := f.now(); state.there && (all || w.random.IntN(4) == 0) {
				w.sameThere(f)
			}
		}
	}
	s.audits++
}

// audit compares a worker's files, of which it is known from now on what they are.
func (w *worker) audit(found map[string][]image.Image) {
	for _, f := range w.files {
		images := found[f.name]
		delete(found, f.name)
		if len(images) > 1 {
			w.soak.fail("the service has %d of %s: %+v", len(images), f.name, images)
			continue
		}
		is := absent
		size, hash := int64(0), ""
		if len(images) > 0 {
			is.there, size, hash = true, images[0].Size, images[0].HashValue
		}
		i := slices.IndexFunc(f.may, func(m state) bool { return m.there == is.there && (!is.there || m.is(size, hash)) })
		switch {
		case i < 0:
			w.soak.fail("%s: the service has %+v, which is none of %d things that it may be: %+v", f.name, images, len(f.may), f.sizes())
			continue
		case f.may[i].any:
			f.may = []state{f.may[i]}
		default:
			f.set(f.may[i])
		}
		value := ""
		if is.there {
			value = images[0].Properties["soak"]
		}
		if is.there && !slices.Contains(f.property, value) {
			w.soak.fail("%s has %q as its property, want one of %q", f.name, value, f.property)
		}
		f.property = []string{value}
		f.failed, f.past = false, nil
	}
	for _, m := range w.moves {
		n := 0
		for _, f := range []*file{m.from, m.to} {
			if f.may[0].there && f.may[0].hash == m.what.hash {
				n++
			}
		}
		if n != 1 {
			w.soak.fail("what was being renamed from %s to %s is at %d names", m.from.name, m.to.name, n)
		}
	}
	w.moves, w.debris = nil, false
}

func (f *file) sizes() (sizes []int) {
	for _, s := range f.may {
		if sizes = append(sizes, -1); s.there {
			sizes[len(sizes)-1] = len(s.data)
		}
	}
	return sizes
}

// sameThere reads a file by the mount.
func (w *worker) sameThere(f *file) {
	got, err := os.ReadFile(w.path(f))
	if err != nil {
		w.soak.fail("the audit: %v", err)
		return
	}
	w.check(f, got)
}

// lists waits until the mount shows what the service has: of what failed it may learn by
// its next listing.
func (s *soak) lists() {
	want := map[string]bool{}
	for i := range fixedImages {
		want[fixedName(i)] = true
	}
	for _, w := range s.workers {
		for _, f := range w.files {
			if f.may[0].there {
				want[f.name] = true
			}
		}
	}
	var last string
	err := until("the mount shows what the service has", func() (bool, error) {
		entries, err := os.ReadDir(s.daemon.Mountpoint)
		if err != nil {
			return false, err
		}
		left := len(want)
		for _, e := range entries {
			switch {
			case want[e.Name()]:
				left--
			case e.Name() != ".by-id":
				last = "too much: " + e.Name()
				return false, nil
			}
		}
		last = fmt.Sprintf("%d are missing", left)
		return left == 0, nil
	})
	if err != nil {
		s.fail("%v: %s", err, last)
	}
}

// status is what the daemon says of itself.
func (s *soak) status() (metrics.Snapshot, error) {
	var m metrics.Snapshot
	ctx, cancel := context.WithTimeout(context.Background(), statusBound)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.binary, "status", "--json", s.daemon.Mountpoint).Output()
	if err == nil {
		err = json.Unmarshal(out, &m)
	}
	return m, err
}

// statusBound is how long the daemon may take to answer, on a machine that is busy.
const statusBound = 20 * time.Second

// unsettled is something that is being uploaded, waits for that, or has to be finished;
// "" where there is nothing.
func (s *soak) unsettled() (string, error) {
	m, err := s.status()
	if err != nil {
		return "", fmt.Errorf("status: %w", err)
	}
	for _, u := range m.Uploads {
		return "an upload of " + u.Name, nil
	}
	for _, w := range m.Waiting {
		return fmt.Sprintf("%s waits: %s", w.Name, w.Error), nil
	}
	renames, err := filepath.Glob(filepath.Join(s.daemon.Staging, "*", "*.rename"))
	for _, path := range renames {
		text, rerr := os.ReadFile(path)
		return fmt.Sprintf("a rename: %s %v", text, rerr), nil
	}
	if err != nil {
		return "", err
	}
	found, err := staging.Survey(s.daemon.Staging)
	for _, r := range found {
		if r.Unlinked || r.Held || r.State != staging.StateFailed && r.State != staging.StateAbandoned && r.State != staging.StateOpen {
			return fmt.Sprintf("a draft: %+v", r), nil
		}
	}
	return "", err
}

// discardKept drops what was not accepted. Each is listed, and its writer was told.
func (s *soak) discardKept() {
	kept, err := staging.Survey(s.daemon.Staging)
	if err != nil {
		s.fail("the audit: %v", err)
		return
	}
	if len(kept) == 0 {
		return
	}
	m, err := s.status()
	if err != nil {
		s.fail("status: %v", err)
		return
	}
	for _, r := range kept {
		if !slices.ContainsFunc(m.Drafts, func(d metrics.Draft) bool { return d.ID == r.Draft }) {
			s.fail("the draft %s of %s is kept and not listed: %+v", r.Draft, r.Name, r)
		}
		s.excusesDraft(r)
	}
	s.kept += len(kept)
	err = until("what is kept is discarded", func() (bool, error) {
		out, err := exec.Command(s.binary, "staged", "discard", "--all", "--yes", "--staging-dir", s.daemon.Staging).CombinedOutput()
		if err == nil {
			return true, nil
		}
		if left, _ := staging.Survey(s.daemon.Staging); len(left) > 0 { // what they have asked for may yet come
			return false, nil
		}
		return false, fmt.Errorf("staged discard: %w: %s", err, out)
	})
	if err != nil {
		s.fail("%v", err)
	}
	if left, err := s.daemon.Leftovers(); err != nil || len(left) > 0 {
		s.fail("staging is not empty: %v, %v: %s", left, err, s.stagingList())
	}
}

// excusesDraft finds the operation that failed and has left a draft.
func (s *soak) excusesDraft(r staging.Record) {
	for _, w := range s.workers {
		if w.debris && strings.HasPrefix(r.Name, "."+w.prefix+"-") {
			return
		}
		for _, f := range w.files {
			if f.name != r.Name || !f.failed {
				continue
			}
			if r.Accepted || s.writeback {
				// What waited to be uploaded was being written over, as a local file would be.
				f.maybe(append(f.past, absent)...)
			}
			return
		}
	}
	s.fail("a draft is kept of which no writer was told: %+v", r)
}

// removeDebris removes what programs that failed have left under other names.
func (s *soak) removeDebris() {
	for _, w := range s.workers {
		if !w.debris {
			continue
		}
		entries, err := os.ReadDir(s.daemon.Mountpoint)
		if err != nil {
			s.fail("the audit: %v", err)
		}
		for _, e := range entries {
			if w.isDebris(e.Name()) {
				if err := os.Remove(s.path(e.Name())); err != nil {
					s.fail("the audit: %v", err)
				}
			}
		}
	}
}

func (s *soak) stagingList() string {
	out, err := exec.Command(s.binary, "staged", "list", "--staging-dir", s.daemon.Staging).CombinedOutput()
	return fmt.Sprintf("%s %v", out, err)
}
