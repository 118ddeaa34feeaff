package catalog

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/imagefs/imagefs/image"
)

// dressed returns an image with everything that a path can carry, and a plain one
// that is renamed over it.
func dressed() (over, img image.Image) {
	over, img = ours(1, "old"), ours(2, "new")
	over.Visibility, over.MinDisk, over.MinRAM, over.Tags = image.VisibilityPublic, 3, 64, []string{"gold", "both"}
	over.Properties = map[string]string{
		"hw_disk_bus": "scsi", "os_distro": "debian", "os_hash_x": "carried", "os_glance_stage": "x",
		"owner_specified.openstack.md5": "x", image.PropertyAttributes: image.Attributes{}.Encode(over.ID),
	}
	img.MinRAM, img.Tags, img.DiskFormat = 128, []string{"both", "new"}, "qcow2"
	img.Properties = map[string]string{"os_distro": "arch"}
	return over, img
}

func TestRenameOverTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := dressed()
		s := newService(over, img)
		c := newCatalog(t, s)
		listed(t, c)
		s.took()
		got, err := c.Rename(t.Context(), img, "old", &over, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantRequests(t, s, "get "+over.ID, "get "+img.ID, "update "+img.ID, "delete "+over.ID)
		want := img
		want.Name, want.Visibility, want.MinDisk, want.MinRAM, want.Tags = "old", image.VisibilityPublic, 3, 128, []string{"both", "new", "gold"}
		created := over.SuccessorTime()
		want.Properties = map[string]string{
			"hw_disk_bus": "scsi", "os_distro": "arch", "os_hash_x": "carried",
			image.PropertyAttributes: image.Attributes{Created: &created}.Encode(img.ID),
		}
		want.UpdatedAt = got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What others have set on the image since it was looked up is its own, and counts.
func TestRenameOverByWhatWasChangedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := dressed()
		over.Visibility = image.VisibilityPrivate
		s := newService(over, img)
		c := newCatalog(t, s)
		listed(t, c)
		now := img.Clone()
		now.Visibility, now.MinDisk, now.Tags = image.VisibilityPublic, 7, []string{"late"}
		now.Properties["hw_disk_bus"] = "virtio"
		s.set(now)
		got, err := c.Rename(t.Context(), img, "old", &over, nil)
		if err != nil || got.Visibility != image.VisibilityPrivate || got.MinDisk != 7 || got.Properties["hw_disk_bus"] != "virtio" ||
			!cmp.Equal(got.Tags, []string{"late", "gold", "both"}) {
			t.Errorf("%v: %+v", err, got)
		}
		// One that lies in the trash by now takes nobody's place.
		other := ours(4, "other")
		s.set(other)
		other.Hidden, other.Properties = true, map[string]string{image.PropertyTrash: image.Trash{At: epoch, Until: epoch}.Encode(other.ID)}
		s.set(other)
		if _, err := c.Rename(t.Context(), ours(4, "other"), "old", &got, nil); !image.Is(err, image.Stale) {
			t.Errorf("of what was removed: %v", err)
		}
	})
}

// Whoever saw the path sees it, and nobody else does.
func TestRenameOverKeepsMembers(t *testing.T) {
	for title, tt := range map[string]struct {
		visibility image.Visibility // of what is renamed
		has, want  string           // projects; * has accepted
		over       string
		requests   int
		lost       string
	}{
		"private":              {image.VisibilityPrivate, "", "a b", "a* b", 8, "[a]"},
		"left of an old share": {image.VisibilityPrivate, "c*", "a", "a", 8, ""},
		"shared":               {image.VisibilityShared, "b* c*", "b* a", "a* b*", 8, "[a]"},
		"the same":             {image.VisibilityShared, "a b*", "a b*", "b a", 6, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			over, img := ours(1, "old"), ours(2, "new")
			over.Visibility, img.Visibility = image.VisibilityShared, tt.visibility
			s := newService(over, img)
			s.members[over.ID], s.members[img.ID] = shares(tt.over), shares(tt.has)
			var log bytes.Buffer
			c := newCatalog(t, s, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			listed(t, c)
			s.took()
			if _, err := c.Rename(t.Context(), img, "old", &over, nil); err != nil {
				t.Fatal(err)
			}
			if requests := s.took(); len(requests) != tt.requests || !strings.HasPrefix(requests[len(requests)-1], "delete ") {
				t.Errorf("%s: requests %q", title, requests)
			}
			if diff := cmp.Diff(shares(tt.want), s.members[img.ID], anyOrder); diff != "" {
				t.Errorf("%s: %s", title, diff)
			}
			if said := strings.Contains(log.String(), "accept it again"); said != (tt.lost != "") || !strings.Contains(log.String(), tt.lost) {
				t.Errorf("%s: log %s", title, log.String())
			}
		})
	}
}

// anyOrder compares members: some are changed at once.
var anyOrder = cmpopts.SortSlices(func(a, b image.Member) bool { return a.Project < b.Project })

// shares reads members from "accepted* pending".
func shares(text string) []image.Member {
	var all []image.Member
	for _, word := range strings.Fields(text) {
		project, accepted := strings.CutSuffix(word, "*")
		all = append(all, image.Member{Project: project, Status: map[bool]string{true: "accepted", false: "pending"}[accepted]})
	}
	return all
}

// Whatever refuses a part of a rename, both images are as they were.
func TestRenameOverIsTakenBack(t *testing.T) {
	for _, request := range []string{"delete", "members new", "members old", "share new a", "unshare new c", "update new"} {
		synctest.Test(t, func(t *testing.T) {
			over, img := dressed()
			over.Visibility, img.Visibility = image.VisibilityShared, image.VisibilityShared
			s := newService(over, img)
			s.members[over.ID], s.members[img.ID] = shares("a b"), shares("c d")
			c := newCatalog(t, s)
			listed(t, c)
			s.failing(strings.NewReplacer("new", img.ID, "old", over.ID).Replace(request), failure(image.Forbidden))
			if _, err := c.Rename(t.Context(), img, "old", &over, nil); !image.Is(err, image.Forbidden) {
				t.Errorf("%s: %v", request, err)
			}
			now := s.images[img.ID]
			now.UpdatedAt = img.UpdatedAt
			if diff := cmp.Diff([]image.Image{over, img}, []image.Image{s.images[over.ID], now}); diff != "" {
				t.Errorf("%s: %s", request, diff)
			}
			projects := map[string]bool{}
			for _, m := range s.members[img.ID] {
				projects[m.Project] = true
			}
			if !cmp.Equal(projects, map[string]bool{"c": true, "d": true}) {
				t.Errorf("%s: shared with %v", request, projects)
			}
		})
	}
}

// A path that many projects see can be renamed over within the time that there is, and a
// refusal is taken back in it.
func TestRenameOverSharedWithMany(t *testing.T) {
	for _, refused := range []bool{false, true} {
		for _, visibility := range []image.Visibility{image.VisibilityPrivate, image.VisibilityShared} {
			synctest.Test(t, func(t *testing.T) {
				over, img := ours(1, "old"), ours(2, "new")
				over.Visibility, img.Visibility = image.VisibilityShared, visibility
				s := newService(over, img)
				for n := range 120 {
					s.members[over.ID] = append(s.members[over.ID], image.Member{Project: fmt.Sprintf("p%d", n), Status: "pending"})
				}
				c := newCatalog(t, s)
				listed(t, c)
				s.slow(80 * time.Millisecond)
				if refused {
					s.failing("delete", failure(image.Forbidden))
				}
				begun := time.Now()
				_, err := c.Rename(t.Context(), img, "old", &over, nil)
				now := s.images[img.ID]
				if took := time.Since(begun); (err != nil) != refused || refused && now.Name != "new" || took > changeBound+undoBound {
					t.Errorf("%s, refused %v: %v after %v: %+v", visibility, refused, err, took, now)
				}
				if n := len(s.members[img.ID]); !refused && n != 120 || refused && visibility == image.VisibilityShared && n != 0 {
					t.Errorf("%s, refused %v: %d members", visibility, refused, n)
				}
			})
		}
	}
}

// A service that does not answer in the middle of a rename leaves no two images of the
// name, nor an image with those who are not to see it; the rest is done later.
func TestRenameOverThatHangs(t *testing.T) {
	for _, visibility := range []image.Visibility{image.VisibilityPrivate, image.VisibilityShared} {
		for _, hung := range [][]string{{"share", "unshare"}, {"share", "unshare", "update"}} {
			synctest.Test(t, func(t *testing.T) {
				over, img := ours(1, "old"), ours(2, "new")
				over.Visibility, img.Visibility = image.VisibilityShared, visibility
				m := &mortal{service: newService(over, img), left: 1 << 20}
				m.members[over.ID] = shares("a b")
				if visibility == image.VisibilityShared {
					m.members[img.ID] = shares("c d")
				}
				before := m.state()
				m.hung = map[string]bool{"share": true}
				begun := time.Now()
				time.AfterFunc(time.Second, func() {
					m.mu.Lock()
					defer m.mu.Unlock()
					for _, verb := range hung {
						m.hung[verb] = true
					}
				})
				c := newCatalog(t, m.service)
				_, err := c.Rename(t.Context(), img, "old", &over, m)
				if took := time.Since(begun); !image.Is(err, image.Stalled) || took > changeBound+undoBound {
					t.Errorf("%v after %v", err, took)
				}
				if now := m.images[img.ID]; len(hung) == 2 && (now.Name != "new" || now.Visibility != visibility) {
					t.Errorf("%+v", now)
				}
				if m.noted == nil || !m.noted.Undone {
					t.Errorf("journal %+v", m.noted)
				}
				if want := len(hung) == 2 && visibility == image.VisibilityPrivate; m.settled != want {
					t.Errorf("settled %v, want %v", m.settled, want)
				}
				m.hung = nil
				if !m.settled {
					if carried, err := c.FinishRename(t.Context(), *m.noted, RenameSettles, m); err != nil || carried {
						t.Errorf("later: %v %v", carried, err)
					}
				}
				if now := m.state(); now != before {
					t.Errorf("%s, %v:\n%swant\n%s", visibility, hung, now, before)
				}
			})
		}
	}
}

// Only what a rename has given an image is taken back, also later.
func TestRenameOverTakenBackAfterOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, img := ours(1, "old"), ours(2, "new")
		over.Visibility, img.Visibility = image.VisibilityShared, image.VisibilityShared
		s := newService(over, img)
		s.members[over.ID], s.members[img.ID] = shares("a b"), shares("a theirs d")
		r := image.Rename{Image: img, Name: "old", Over: &over, Undone: true, Noted: true, Members: shares("c d")}
		carried, err := newCatalog(t, s).FinishRename(t.Context(), r, RenameSettles, unjournaled(""))
		if diff := cmp.Diff(shares("c d theirs"), s.members[img.ID], anyOrder); err != nil || carried || diff != "" {
			t.Errorf("%v %v %s", carried, err, diff)
		}
	})
}

// What is renamed over an image that is hidden because it is being filled, or because that
// has failed, is not hidden with it: nobody would see it again.
func TestRenameOverWhatIsBeingMade(t *testing.T) {
	over, img := ours(1, "old"), ours(2, "new")
	over.Hidden, over.Properties = true, map[string]string{image.PropertyDraft: "d"}
	s := newService(over, img)
	c := newCatalog(t, s)
	listed(t, c)
	renamed, err := c.Rename(t.Context(), img, "old", &over, nil)
	if err != nil || renamed.Hidden {
		t.Errorf("it is hidden: %v, %v", renamed.Hidden, err)
	}
	if diff := cmp.Diff(map[string]string{"old": img.ID}, listed(t, c)); diff != "" {
		t.Error(diff)
	}
}
