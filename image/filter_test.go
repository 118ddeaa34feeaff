package image

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ours, theirs = "ours", "theirs"

func TestFilterShows(t *testing.T) {
	plain := Image{
		ID: "i", Name: "debian/13.qcow2", Status: StatusActive, Visibility: VisibilityShared, Owner: ours, DiskFormat: "qcow2", Tags: []string{"a", "b"},
	}
	with := func(change func(*Image)) Image {
		i := plain.Clone()
		change(&i)
		return i
	}
	hidden := with(func(i *Image) { i.Hidden = true })
	property := func(key, value string) Image {
		return with(func(i *Image) { i.Hidden, i.Properties = true, map[string]string{key: value} })
	}
	now := time.Now()
	trash := Trash{At: now, Until: now.Add(time.Hour)}
	community := with(func(i *Image) { i.Visibility = VisibilityCommunity })
	foreign := with(func(i *Image) { i.Visibility, i.Owner = VisibilityCommunity, theirs })
	for _, tc := range []struct {
		name   string
		filter Filter
		image  Image
		want   bool
	}{
		{"no filter", Filter{}, plain, true},
		{"deleted", Filter{Hidden: true}, with(func(i *Image) { i.Status = StatusDeleted }), false},
		{"pending delete", Filter{Hidden: true}, with(func(i *Image) { i.Status = StatusPendingDelete }), false},
		{"hidden", Filter{}, hidden, false},
		{"hidden, too", Filter{Hidden: true}, hidden, true},
		{"not hidden", Filter{Hidden: true}, plain, true},
		{"in the trash", Filter{Hidden: true}, property(PropertyTrash, trash.Encode("i")), false},
		{"another's trash", Filter{Hidden: true}, property(PropertyTrash, trash.Encode("j")), true},
		{"being made", Filter{Hidden: true}, property(PropertyDraft, "d"), false},
		{"own community", Filter{}, community, true},
		{"others' community", Filter{}, foreign, false},
		{"others' community, too", Filter{Community: true}, foreign, true},
		{"community only", Filter{Visibility: VisibilityCommunity}, foreign, true},
		{"community only", Filter{Visibility: VisibilityCommunity}, plain, false},
		{"own, and community", Filter{Community: true}, plain, true},
		{"visibility", Filter{Visibility: VisibilityShared}, plain, true},
		{"another visibility", Filter{Visibility: VisibilityPublic}, plain, false},
		{"owner", Filter{Owner: ours}, plain, true},
		{"another owner", Filter{Owner: theirs}, plain, false},
		{"all tags", Filter{Tags: []string{"b", "a"}}, plain, true},
		{"one tag of two", Filter{Tags: []string{"a", "c"}}, plain, false},
		{"tag in another case", Filter{Tags: []string{"A"}}, plain, false},
		{"status", Filter{Statuses: []Status{StatusQueued, StatusActive}}, plain, true},
		{"another status", Filter{Statuses: []Status{StatusQueued}}, plain, false},
		{"format", Filter{Formats: []string{"raw", "qcow2"}}, plain, true},
		{"another format", Filter{Formats: []string{"raw"}}, plain, false},
		{"no format", Filter{Formats: []string{"raw"}}, with(func(i *Image) { i.DiskFormat = "" }), false},
		{"name", Filter{Name: "debian*"}, plain, true},
		{"another name", Filter{Name: "Debian*"}, plain, false},
		{"all of them", Filter{Name: "*.qcow2", Tags: []string{"a"}, Owner: ours, Formats: []string{"qcow2"}}, plain, true},
		{"all but one", Filter{Name: "*.qcow2", Tags: []string{"a"}, Owner: theirs, Formats: []string{"qcow2"}}, plain, false},
	} {
		if got := tc.filter.Shows(&tc.image, ours); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if (Filter{}).Shows(&foreign, "") != true {
		t.Error("whose it is is not known, and a listing that had it is not believed")
	}
}

func TestFilterName(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "x", true},
		{"*", "", true},
		{"?*", "", false},
		{"*", "a/b", true},
		{"a?b", "a/b", true},
		{"a[/]b", "a/b", true},
		{"a/*", "a/b/c", true},
		{"a/*", "ab", false},
		{`a\/b`, "a/b", true},
		{`a\*`, "a*", true},
		{`a\*`, "ab", false},
		{"[^a]", "b", true},
		{"[^a]", "a", false},
		{"[a-c]", "b", true},
		{"ä?", "äö", true},
		{"a", "A", false},
		{"a\nb", "a\nb", true},
	} {
		if got := (Filter{Name: tc.pattern}).ShowsName(tc.name); got != tc.want {
			t.Errorf("%q of %q: %v", tc.pattern, tc.name, got)
		}
	}
}

// A pattern that is one name shows that name and no other.
func TestFilterExactName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOf(rapid.SampledFrom([]rune(`ab*?[]\^-/ä`))).Draw(t, "pattern")
		f := Filter{Name: name}
		exact, ok := f.ExactName()
		if !ok {
			return
		}
		other := rapid.StringOf(rapid.SampledFrom([]rune(`ab]^-/ä`))).Draw(t, "other")
		if exact != name || !f.ShowsName(name) || f.ShowsName(other) != (other == name) {
			t.Fatalf("%q is not only %q", name, exact)
		}
	})
}
