package catalog

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// TestLookupOfAnOldName: an image that a lookup does not find under the name that it had
// shows under the one that it has: it must not be missing in a listing between the two.
func TestLookupOfAnOldName(t *testing.T) {
	for name, tc := range map[string]struct {
		becomes func(*service, image.Image)
		want    map[string]string
	}{
		"renamed": {func(s *service, img image.Image) { s.set(changed(1, "new")) }, map[string]string{"new": ours(1, "").ID}},
		"renamed to where another is": {func(s *service, img image.Image) { s.set(changed(1, "other")) },
			map[string]string{"other": ours(1, "").ID, form("other", ours(2, "").ID[:8]): ours(2, "").ID}},
		"a share": {func(s *service, img image.Image) {
			img.Owner, img.Visibility, s.accepted[img.ID] = "theirs", image.VisibilityShared, true
			img.Name = "new"
			s.set(img)
		}, map[string]string{"new": ours(1, "").ID}},
		"no share any more": {func(s *service, img image.Image) {
			img.Owner, img.Visibility = "theirs", image.VisibilityShared
			s.set(img)
		}, map[string]string{}},
		"deleted": {func(s *service, img image.Image) { s.drop(img.ID) }, map[string]string{}},
		"hidden": {func(s *service, img image.Image) {
			img.Hidden = true
			s.set(img)
		}, map[string]string{}},
		"not to be had": {func(s *service, img image.Image) {
			s.set(changed(1, "new"))
			s.failing("get", failure(image.Unavailable))
		}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				img := ours(1, "old")
				s := newService(img, ours(2, "other"))
				c := newCatalog(t, s)
				listed(t, c)
				tc.becomes(s, img)
				s.failing("update "+img.ID, failure(image.Unreachable)) // the service has done it, and nobody is told
				if _, err := c.Rename(t.Context(), img, "new", nil, nil); !image.Is(err, image.Unreachable) {
					t.Fatal(err)
				}
				if got := lookup(t, c, "old"); got != "" {
					t.Errorf("old is %q", got)
				}
				synctest.Wait()
				if _, ok := tc.want["other"]; !ok {
					tc.want["other"] = ours(2, "").ID
				}
				if diff := cmp.Diff(tc.want, listed(t, c)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
