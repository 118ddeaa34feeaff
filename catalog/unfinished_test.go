package catalog

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// asKernel does something to the image at an entry as the kernel does it: on ESTALE it
// looks once more and tries again.
func asKernel(t *testing.T, c *Catalog, entry string, do func(image.Image) error) error {
	t.Helper()
	for try := 0; ; try++ {
		e, err := c.Lookup(t.Context(), entry)
		if err != nil {
			return err
		}
		if err = do(e.Image.Unpack()); !image.Is(err, image.Stale) || try > 0 {
			return err
		}
	}
}

// asks returns what the service is asked for before a change of the images: nothing, where
// no rename of them is left to finish.
func asks(t *testing.T, c *Catalog, s *service, ids ...string) []string {
	t.Helper()
	s.took()
	for _, id := range ids {
		if err := c.FinishBefore(t.Context(), id); err != nil {
			t.Errorf("before a change of %s: %v", id, err)
		}
	}
	return s.took()
}

// A rename over another image of which any step was not answered, whether it was done or
// not, is finished or taken back by whatever is done at the name next: what was replaced
// does not come back, and there are no two images of the name. Nor does what the journal
// has led to later change that.
func TestUnansweredRenameOver(t *testing.T) {
	const forever = 1 << 20
	third := ours(3, "third")
	for title, then := range map[string]struct {
		do   func(*testing.T, *Catalog, *service) error
		want []string // what becomes of the name, by the entry
	}{
		"removed": {func(t *testing.T, c *Catalog, _ *service) error {
			return asKernel(t, c, "old", func(img image.Image) error { return c.Remove(t.Context(), img.ID) })
		}, nil},
		"renamed away": {func(t *testing.T, c *Catalog, _ *service) error {
			return asKernel(t, c, "old", func(img image.Image) error {
				_, err := c.Rename(t.Context(), img, "away", nil, nil)
				return err
			})
		}, []string{"away"}},
		"renamed over": {func(t *testing.T, c *Catalog, _ *service) error {
			return asKernel(t, c, "old", func(img image.Image) error {
				_, err := c.Rename(t.Context(), third, "old", &img, nil)
				return err
			})
		}, []string{"old"}},
		"overwritten": {func(t *testing.T, c *Catalog, s *service) error {
			return asKernel(t, c, "old", func(img image.Image) error {
				err := c.FinishBefore(t.Context(), img.ID)
				if err == nil { // what a commit does
					s.drop(img.ID)
					fresh := ours(4, "old")
					s.set(fresh)
					c.Committed("no draft", fresh, img.ID)
				}
				return err
			})
		}, []string{"old"}},
		"changed": {func(t *testing.T, c *Catalog, _ *service) error {
			return asKernel(t, c, "old", func(img image.Image) error {
				_, err := c.Update(t.Context(), img.ID, []image.Change{{Field: "p", Property: true, Value: "v"}})
				return err
			})
		}, []string{"old"}},
		"tried again": {func(t *testing.T, c *Catalog, _ *service) error {
			return asKernel(t, c, "old", func(over image.Image) error {
				err := asKernel(t, c, "new", func(img image.Image) error {
					_, err := c.Rename(t.Context(), img, "old", &over, nil)
					return err
				})
				if image.Is(err, image.NotFound) { // it has happened, and nothing is done
					return c.FinishBefore(t.Context(), over.ID)
				}
				return err
			})
		}, []string{"old"}},
	} {
		for _, refused := range []bool{false, true} {
			cases := 0
			synctest.Test(t, func(t *testing.T) {
				for died, steps := true, 0; died; steps++ {
					over, img := dressed()
					over.Visibility, img.Visibility = image.VisibilityShared, image.VisibilityShared
					m := &mortal{service: newService(over, img, third)}
					m.members[over.ID], m.members[img.ID] = shares("a b"), shares("c d")
					if refused {
						m.failing("delete", failure(image.Forbidden))
					}
					var log bytes.Buffer
					c := m.catalog(t, steps, &log)
					listed(t, c)
					_, renamed := c.Rename(t.Context(), img, "old", &over, m)
					died = m.left < 0
					m.left = forever
					clear(m.fail)
					if !died || m.settled {
						continue
					}
					cases++
					if err := then.do(t, c, m.service); err != nil {
						t.Errorf("%s: refused %v, unanswered at %d (%v): %v", title, refused, steps, renamed, err)
					}
					check := func(when string) {
						var at []string
						for entry := range m.want() {
							if entry != "new" && entry != "third" {
								at = append(at, entry)
							}
						}
						if slices.Sort(at); !slices.Equal(at, then.want) {
							t.Errorf("%s: refused %v, unanswered at %d%s: the service has %v\nlog %s", title, refused, steps, when, m.want(), log.String())
						}
					}
					check("")
					if diff := cmp.Diff(m.want(), listed(t, c)); diff != "" {
						t.Errorf("%s: refused %v, unanswered at %d: the directory shows other things: %s", title, refused, steps, diff)
					}
					before := m.state()
					time.Sleep(RenameSettles)
					if m.noted != nil {
						if _, err := c.FinishRename(t.Context(), *m.noted, RenameSettles, m); err != nil || m.state() != before {
							t.Errorf("%s: refused %v, unanswered at %d: what the journal has changed since: %v\n%swas\n%s", title, refused, steps, err, m.state(), before)
						}
					}
					check(", and by its journal")
					if left := asks(t, c, m.service, over.ID, img.ID); len(left) > 0 {
						t.Errorf("%s: refused %v, unanswered at %d: it goes on with %v", title, refused, steps, left)
					}
				}
			})
			if cases < 10 {
				t.Errorf("%s: refused %v: %d cases", title, refused, cases)
			}
		}
	}
}

// While the service goes on not answering, nothing is changed that would bring back what
// was replaced.
func TestUnansweredRenameOverWaits(t *testing.T) {
	for title, do := range map[string]func(ctx context.Context, c *Catalog, img, third image.Image) error{
		"remove": func(ctx context.Context, c *Catalog, img, _ image.Image) error { return c.Remove(ctx, img.ID) },
		"rename": func(ctx context.Context, c *Catalog, img, _ image.Image) error {
			_, err := c.Rename(ctx, img, "away", nil, nil)
			return err
		},
		"rename over": func(ctx context.Context, c *Catalog, img, third image.Image) error {
			_, err := c.Rename(ctx, third, "old", &img, nil)
			return err
		},
		"change": func(ctx context.Context, c *Catalog, img, _ image.Image) error {
			_, err := c.Update(ctx, img.ID, []image.Change{{Field: "p", Property: true, Value: "v"}})
			return err
		},
		"overwrite": func(ctx context.Context, c *Catalog, img, _ image.Image) error { return c.FinishBefore(ctx, img.ID) },
	} {
		synctest.Test(t, func(t *testing.T) {
			over, img, third := ours(1, "old"), ours(2, "new"), ours(3, "third")
			s := newService(over, img, third)
			s.hung = map[string]bool{"delete": true}
			c := newCatalog(t, s)
			listed(t, c)
			named, err := c.Rename(t.Context(), img, "old", &over, nil)
			if !image.Is(err, image.Stalled) {
				t.Fatal(err)
			}
			want := map[string]string{"old": img.ID, "old~00000001": over.ID, "third": third.ID}
			before := s.state()
			begun := time.Now()
			if err := do(t.Context(), c, named, third); !image.Is(err, image.Stalled) || s.state() != before {
				t.Errorf("%s: %v:\n%s", title, err, s.state())
			}
			if took := time.Since(begun); title != "overwrite" && took > changeBound+undoBound {
				t.Errorf("%s: it took %v", title, took)
			}
			if diff := cmp.Diff(want, listed(t, c)); diff != "" {
				t.Errorf("%s: %s", title, diff)
			}
		})
	}
}

// A rename whose first request the service has not answered may happen later, also when
// somebody has looked before, and it had not.
func TestUnansweredRenameOverLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		m := &mortal{service: newService(over, img), left: 1 << 20}
		m.failing("update", failure(image.Stalled))
		c := newCatalog(t, m.service)
		listed(t, c)
		if _, err := c.Rename(t.Context(), img, "old", &over, m); !image.Is(err, image.Stalled) {
			t.Fatal(err)
		}
		clear(m.fail)
		if _, err := c.Update(t.Context(), over.ID, []image.Change{{Field: image.PropertyAttributes, Property: true, Value: "{}"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.FinishRename(t.Context(), *m.noted, RenameSettles, m); !errors.Is(err, ErrTooYoung) {
			t.Fatal(err)
		}
		late := img.Clone()
		late.Name, late.Properties = "old", map[string]string{image.PropertyAttributes: m.noted.Attributes}
		m.set(late)
		if err := asKernel(t, c, "new", func(img image.Image) error { return c.FinishBefore(t.Context(), img.ID) }); !image.Is(err, image.NotFound) {
			t.Error(err)
		}
		if err := asKernel(t, c, "old", func(img image.Image) error { return c.Remove(t.Context(), img.ID) }); err != nil {
			t.Error(err)
		}
		if left := asks(t, c, m.service, over.ID, img.ID); len(m.images) > 0 || len(left) > 0 {
			t.Errorf("it came back: %s, or goes on with %v", m.state(), left)
		}
	})
}

// One that has not happened when it is old enough is forgotten.
func TestUnansweredRenameOverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		m := &mortal{service: newService(over, img), left: 1 << 20}
		m.failing("update", failure(image.Stalled))
		c := newCatalog(t, m.service)
		listed(t, c)
		if _, err := c.Rename(t.Context(), img, "old", &over, m); !image.Is(err, image.Stalled) {
			t.Fatal(err)
		}
		clear(m.fail)
		time.Sleep(RenameSettles)
		if carried, err := c.FinishRename(t.Context(), *m.noted, RenameSettles, m); carried || err != nil {
			t.Errorf("%v, %v", carried, err)
		}
		if left := asks(t, c, m.service, over.ID, img.ID); len(left) > 0 {
			t.Errorf("it goes on with %v", left)
		}
	})
}

// What a rename has not got to take away can be kept by another name, or be removed by
// its own.
func TestUnansweredRenameOverSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		for _, kept := range []bool{true, false} {
			s := newService(over, img)
			s.failing("delete", failure(image.Stalled))
			c := newCatalog(t, s)
			listed(t, c)
			if _, err := c.Rename(t.Context(), img, "old", &over, nil); !image.Is(err, image.Stalled) {
				t.Fatal(err)
			}
			clear(s.fail)
			want := map[string]string{"old": img.ID}
			var err error
			if kept {
				want["kept"] = over.ID
				_, err = c.Rename(t.Context(), over, "kept", nil, nil)
			} else {
				err = c.Remove(t.Context(), over.ID)
			}
			if diff := cmp.Diff(want, s.want()); diff != "" || err != nil {
				t.Errorf("kept %v: %v %s", kept, err, diff)
			}
			if err := c.FinishBefore(t.Context(), img.ID); err != nil {
				t.Errorf("kept %v: %v", kept, err)
			}
			if left := asks(t, c, s, over.ID, img.ID); len(left) > 0 {
				t.Errorf("kept %v: it goes on with %v", kept, left)
			}
			if diff := cmp.Diff(want, s.want()); diff != "" {
				t.Errorf("kept %v, and finished: %s", kept, diff)
			}
		}
	})
}

// A rename from one of two images of a name to the other is known to have happened, also
// when attributes have been set since.
func TestFinishRenameOfOneNameChangedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "old")
		m := &mortal{service: newService(over, img), left: 1 << 20}
		m.failing("delete", failure(image.Stalled))
		c := newCatalog(t, m.service)
		listed(t, c)
		named, err := c.Rename(t.Context(), img, "old", &over, m)
		if !image.Is(err, image.Stalled) {
			t.Fatal(err)
		}
		mode, a := uint32(0o600), named.Attributes()
		a.Mode = &mode
		now := named.Clone()
		now.Properties = maps.Clone(now.Properties)
		now.Properties[image.PropertyAttributes] = a.Encode(img.ID)
		m.set(now)
		clear(m.fail)
		var log bytes.Buffer
		if carried, err := m.catalog(t, 1<<20, &log).FinishRename(t.Context(), *m.noted, RenameSettles, m); err != nil || !carried || len(m.images) != 1 {
			t.Errorf("%v, %v: %s", carried, err, strings.TrimSpace(log.String()))
		}
	})
}

// A rename over a draft that was not answered, whether it was done or not, is taken back by
// whatever is done with its image next, or by its journal: the draft has kept the name, and
// becomes the one image of it.
func TestUnansweredRenameOverDraft(t *testing.T) {
	const forever = 1 << 20
	img := ours(2, "new")
	for title, settle := range map[string]func(*testing.T, *Catalog, *mortal) error{
		"by what is done next": func(t *testing.T, c *Catalog, _ *mortal) error {
			return c.FinishBefore(t.Context(), img.ID)
		},
		"by its journal": func(t *testing.T, c *Catalog, m *mortal) error {
			carried, err := c.FinishRename(t.Context(), *m.noted, RenameSettles, m)
			if carried {
				t.Error("the draft counts as replaced")
			}
			return err
		},
	} {
		done, cases := 0, 0
		synctest.Test(t, func(t *testing.T) {
			for died, steps := true, 0; died; steps++ {
				m := &mortal{service: newService(img)}
				var log bytes.Buffer
				c := m.catalog(t, steps, &log)
				listed(t, c)
				if err := c.AddDraft("old", draft("d")); err != nil {
					t.Fatal(err)
				}
				_, err := c.Rename(t.Context(), img, "old", nil, m)
				died = m.left < 0
				m.left = forever
				if !died || m.settled || m.noted == nil {
					continue
				}
				cases++
				if m.want()["old"] != "" {
					done++
				}
				time.Sleep(RenameSettles)
				if err := settle(t, c, m); err != nil {
					t.Errorf("%s: unanswered at %d (%v): %v", title, steps, err, err)
				}
				if have := m.want(); have["new"] == "" || len(have) != 1 {
					t.Errorf("%s: unanswered at %d (%v): the service has %v\nlog %s", title, steps, err, have, log.String())
				}
				if left := asks(t, c, m.service, img.ID); len(left) > 0 {
					t.Errorf("%s: unanswered at %d: it goes on with %v", title, steps, left)
				}
			}
		})
		if cases < 2 || done == 0 {
			t.Errorf("%s: %d cases, of which the service has done %d", title, cases, done)
		}
	}
}

// So does the next daemon.
func TestFinishRenameOverDraft(t *testing.T) {
	img := ours(2, "new")
	renamed := ours(2, "old")
	for undone, want := range map[bool]string{true: "new", false: "old"} {
		s := newService(renamed)
		var log bytes.Buffer
		m := &mortal{service: s}
		c := m.catalog(t, 1<<20, &log)
		carried, err := c.FinishRename(t.Context(), image.Rename{Image: img, Name: "old", Undone: undone}, RenameSettles, m)
		if err != nil || carried == undone || s.want()[want] == "" {
			t.Errorf("undone %v: carried %v, %v; the service has %v", undone, carried, err, s.want())
		}
	}
}
