package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// mortal is a service as a daemon sees it that is killed at one of its steps: before a
// request has reached the service, or before its answer has arrived. It is the journal
// of its rename, too.
type mortal struct {
	*service
	dying   sync.Mutex // guards the field below
	left    int        // steps until it dies
	drafted bool
	noted   *image.Rename
	settled bool
}

var errDead = &image.Error{Op: "request", Kind: image.Interrupted, Err: errors.New("killed")}

func (m *mortal) step() error {
	m.dying.Lock()
	defer m.dying.Unlock()
	if m.left--; m.left < 0 {
		return errDead
	}
	return nil
}

func dying[T any](m *mortal, request func() (T, error)) (T, error) {
	var none T
	if err := m.step(); err != nil {
		return none, err
	}
	answer, err := request()
	if dead := m.step(); dead != nil {
		return none, dead
	}
	return answer, err
}

func (m *mortal) do(request func() error) error {
	_, err := dying(m, func() (struct{}, error) { return struct{}{}, request() })
	return err
}

func (m *mortal) Get(ctx context.Context, id string) (image.Image, error) {
	return dying(m, func() (image.Image, error) { return m.service.Get(ctx, id) })
}

func (m *mortal) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	return dying(m, func() (image.Image, error) { return m.service.Update(ctx, id, changes) })
}

func (m *mortal) Remove(ctx context.Context, id, by string) error {
	return m.do(func() error { return m.service.Remove(ctx, id, by) })
}

func (m *mortal) Members(ctx context.Context, id string) ([]image.Member, error) {
	return dying(m, func() ([]image.Member, error) { return m.service.Members(ctx, id) })
}

func (m *mortal) AddMember(ctx context.Context, id, project string) error {
	return m.do(func() error { return m.service.AddMember(ctx, id, project) })
}

func (m *mortal) RemoveMember(ctx context.Context, id, project string) error {
	return m.do(func() error { return m.service.RemoveMember(ctx, id, project) })
}

// Note may be on the disk when the daemon dies, or not.
func (m *mortal) Note(r image.Rename) error {
	return m.do(func() error {
		m.noted = &r
		return nil
	})
}

func (m *mortal) ID() string    { return "journal" }
func (m *mortal) Drafted() bool { return m.drafted }

func (m *mortal) Settled() { m.settled = m.settled || m.left >= 0 }

// catalog is that of a daemon which dies after so many steps.
func (m *mortal) catalog(t *testing.T, steps int, log *bytes.Buffer) *Catalog {
	m.left = steps
	return newCatalog(t, m.service, func(o *Options) {
		o.Lister, o.Records, o.Remover, o.Sharer, o.Logger = m.service, m, m, m, slog.New(slog.NewTextHandler(log, nil))
	})
}

// state is what the service has, in words.
func (s *service) state() string {
	var words []string
	for _, id := range slices.Sorted(maps.Keys(s.images)) {
		img := s.images[id]
		var projects []string
		for _, m := range s.members[id] {
			projects = append(projects, m.Project)
		}
		slices.Sort(projects)
		if img.Visibility != image.VisibilityShared {
			projects = nil // nobody sees it by them
		}
		words = append(words, fmt.Sprintln(img.Name, id, img.Visibility, img.Owner, img.MinDisk, img.MinRAM, img.Tags, img.Properties, projects))
	}
	return strings.Join(words, "")
}

// A rename over another image whose daemon is killed at any step, and killed again in
// the recovery from that, has happened in the end, or has not.
func TestFinishRename(t *testing.T) {
	const forever = 1 << 20
	for title, c := range map[string]struct {
		shared    bool
		fail      map[string]error
		undone    bool // the service refuses it
		sameNames bool
	}{
		"plain":          {},
		"shared":         {shared: true},
		"in use":         {fail: map[string]error{"delete": failure(image.Busy)}},
		"refused":        {fail: map[string]error{"delete": failure(image.Forbidden)}, undone: true},
		"share refused":  {shared: true, fail: map[string]error{"delete": failure(image.Forbidden)}, undone: true},
		"of one name":    {sameNames: true},
		"refused of one": {sameNames: true, shared: true, fail: map[string]error{"delete": failure(image.Forbidden)}, undone: true},
	} {
		begin := func(t *testing.T) (m *mortal, over, img image.Image) {
			over, img = dressed()
			if c.sameNames {
				img.Name = over.Name
			}
			m = &mortal{service: newService(over, img)}
			if c.shared {
				over.Visibility, img.Visibility = image.VisibilityShared, image.VisibilityShared
				m.set(over)
				m.set(img)
				m.members[over.ID], m.members[img.ID] = shares("a b"), shares("c d")
			}
			maps.Copy(m.fail, c.fail)
			return m, over, img
		}
		var before, after string
		rename := func(t *testing.T, steps int) (m *mortal, died bool) {
			m, over, img := begin(t)
			before = m.state()
			_, err := m.catalog(t, steps, &bytes.Buffer{}).Rename(t.Context(), img, "old", &over, m)
			if steps == forever {
				after = m.state()
				if (err != nil) != c.undone || !m.settled {
					t.Errorf("%s: %v, settled %v", title, err, m.settled)
				}
			}
			return m, m.left < 0
		}
		kills := 0
		synctest.Test(t, func(t *testing.T) {
			rename(t, forever)
			if (after == before) != c.undone {
				t.Fatalf("%s: uninterrupted it becomes\n%sof\n%s", title, after, before)
			}
			for died, steps := true, 0; died; steps++ {
				for again, diedAgain := 0, true; diedAgain; again++ {
					var m *mortal
					m, died = rename(t, steps)
					if m.noted == nil {
						if m.state() != before {
							t.Errorf("%s: killed at %d without a journal:\n%s", title, steps, m.state())
						}
						break
					}
					if !died {
						break
					}
					kills++
					var log bytes.Buffer
					_, err := m.catalog(t, again, &log).FinishRename(t.Context(), *m.noted, RenameSettles, m)
					if diedAgain = m.left < 0; !diedAgain && err != nil {
						t.Errorf("%s: killed at %d: %v", title, steps, err)
					}
					if diedAgain {
						carried, err := m.catalog(t, forever, &log).FinishRename(t.Context(), *m.noted, RenameSettles, m)
						if now := m.images[ours(2, "").ID]; err != nil || carried != m.noted.Carried(now) && !c.sameNames {
							t.Errorf("%s: killed at %d and %d: %v, %v", title, steps, again, carried, err)
						}
					}
					if now := m.state(); now != before && now != after {
						t.Errorf("%s: killed at %d and %d:\n%swant one of\n%s\n%slog %s", title, steps, again, now, before, after, log.String())
					}
					if n := strings.Count(log.String(), "interrupted rename"); n == 0 {
						t.Errorf("%s: killed at %d and %d: it says nothing: %s", title, steps, again, log.String())
					}
				}
			}
		})
		if kills < 20 {
			t.Errorf("%s: %d kills", title, kills)
		}
	}
}

// What others have changed since is left as it is.
func TestFinishRenameAfterOthers(t *testing.T) {
	over, img := dressed()
	done := img.Clone()
	done.Name = "old"
	trashed := func(i *image.Image) {
		i.Hidden, i.Properties = true, map[string]string{image.PropertyTrash: image.Trash{At: epoch, Until: epoch}.Encode(i.ID)}
	}
	for title, c := range map[string]struct {
		img, over *image.Image       // nil: gone
		change    func(*image.Image) // of over
		undone    bool
		carried   bool
		said      string
	}{
		"not begun":  {img: &img, over: &over, said: "level=INFO"},
		"taken back": {img: &img, over: &over, undone: true, said: "level=INFO"},
		// It may have been tried again since, with success: then nothing else has the name.
		"refused, and what it was to replace gone":    {img: &done, undone: true, carried: true, said: "level=INFO"},
		"refused, and what it was to replace renamed": {img: &done, over: &over, undone: true, change: func(i *image.Image) { i.Name = "kept" }, carried: true, said: "has another name"},
		"what is renamed gone":                        {over: &over, said: "level=WARN"},
		"what it replaced gone":                       {img: &done, carried: true, said: "level=INFO"},
		"in the trash":                                {img: &done, over: &over, change: trashed, carried: true, said: "level=INFO"},
		"renamed": {img: &done, over: &over, change: func(i *image.Image) { i.Name = "kept" }, carried: true,
			said: "has another name"},
		"protected": {img: &done, over: &over, change: func(i *image.Image) { i.Protected = true }, carried: true,
			said: "both images stay"},
		"signed": {img: &done, over: &over, change: func(i *image.Image) { i.Properties["img_signature"] = "x" }, carried: true,
			said: "both images stay"},
		"changed": {img: &done, over: &over, change: func(i *image.Image) { i.Tags = nil }, carried: true,
			said: "both images stay"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			if c.img != nil {
				s.set(*c.img)
			}
			if c.over != nil {
				now := c.over.Clone()
				if c.change != nil {
					c.change(&now)
				}
				s.set(now)
			}
			was := s.state()
			m := &mortal{service: s}
			var log bytes.Buffer
			carried, err := m.catalog(t, 1<<20, &log).FinishRename(t.Context(), image.Rename{Image: img, Name: "old", Over: &over, Undone: c.undone}, RenameSettles, m)
			if err != nil || carried != c.carried || s.state() != was {
				t.Errorf("%s: %v, %v:\n%s", title, carried, err, s.state())
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, c.said) {
				t.Errorf("%s: log %s", title, text)
			}
		})
	}
}

// Members of an image whose rename was taken back are theirs to change who share it: of
// those that came or went since, only what the rename has changed is put back.
func TestFinishRenameKeepsMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := dressed()
		over.Visibility, img.Visibility = image.VisibilityShared, image.VisibilityShared
		r := image.Rename{Image: img, Name: "old", Over: &over, Members: shares("both lost"), Noted: true, Undone: true}
		m := &mortal{service: newService(over, img)}
		m.members[over.ID], m.members[img.ID] = shares("both given"), shares("given other")
		carried, err := m.catalog(t, 1<<20, &bytes.Buffer{}).FinishRename(t.Context(), r, RenameSettles, m)
		if diff := cmp.Diff([]string{"lost", "other"}, slices.Sorted(slices.Values(projects(m.members[img.ID])))); err != nil || carried || diff != "" {
			t.Errorf("%v, %v %s", carried, err, diff)
		}
	})
}

// A service that does not answer is asked again, and nothing is taken back meanwhile.
func TestFinishRenameDuringAnOutage(t *testing.T) {
	over, img := dressed()
	over.Visibility, img.Visibility = image.VisibilityShared, image.VisibilityShared
	done := img.Clone()
	done.Name = "old"
	r := image.Rename{Image: img, Name: "old", Over: &over}
	for _, kind := range []image.Kind{image.Unreachable, image.Credentials} {
		for _, request := range []string{"get " + img.ID, "get " + over.ID, "members " + over.ID, "members " + img.ID, "share", "delete"} {
			synctest.Test(t, func(t *testing.T) {
				m := &mortal{service: newService(over, done)}
				m.members[over.ID] = shares("a")
				m.failing(request, failure(kind))
				c := m.catalog(t, 1<<20, &bytes.Buffer{})
				if _, err := c.FinishRename(t.Context(), r, RenameSettles, m); !image.Is(err, kind) || m.settled || m.images[img.ID].Name != "old" || len(m.images) != 2 {
					t.Errorf("%s: %v, settled %v", request, err, m.settled)
				}
				clear(m.fail)
				if carried, err := c.FinishRename(t.Context(), r, RenameSettles, m); err != nil || !carried || !m.settled || len(m.images) != 1 {
					t.Errorf("%s: when it is back: %v, %v", request, carried, err)
				}
			})
		}
	}
}

// The kernel is told of what a recovery changes: nobody asked for it at these entries.
func TestFinishRenameTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := dressed()
		done := img.Clone()
		done.Name = "old"
		s := newService(over, done)
		var told []string
		c := newCatalog(t, s, func(o *Options) { o.OnChange = func(entry string) { told = append(told, entry) } })
		was := listed(t, c)
		if _, err := c.FinishRename(t.Context(), image.Rename{Image: img, Name: "old", Over: &over}, RenameSettles, unjournaled("")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for entry := range was {
			if !slices.Contains(told, entry) {
				t.Errorf("told %v, not %s", told, entry)
			}
		}
		if diff := cmp.Diff(map[string]string{"old": img.ID}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
	})
}
