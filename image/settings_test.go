package image

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// aChange is one of those that Settings hold.
func aChange(t *rapid.T) Change {
	if rapid.Bool().Draw(t, "property") {
		c := Change{Field: rapid.SampledFrom([]string{"p", "q", "tags"}).Draw(t, "name"), Property: true}
		if rapid.Bool().Draw(t, "set") {
			c.Value = rapid.SampledFrom([]string{"", "v", "w"}).Draw(t, "value")
		}
		return c
	}
	text := rapid.SampledFrom([]string{"private", "raw", "community"})
	switch field := rapid.SampledFrom([]string{fieldVisibility, fieldHidden, fieldProtected, fieldMinDisk, fieldMinRAM, fieldDiskFormat, fieldContainerFormat, fieldTags}).Draw(t, "field"); field {
	case fieldHidden, fieldProtected:
		return Change{Field: field, Value: rapid.Bool().Draw(t, "bool")}
	case fieldMinDisk, fieldMinRAM:
		return Change{Field: field, Value: rapid.Int64Range(0, 3).Draw(t, "number")}
	case fieldTags:
		return Change{Field: field, Value: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 3).Draw(t, "tags")}
	default:
		return Change{Field: field, Value: text.Draw(t, "text")}
	}
}

// patched is a record with a change, as a service makes it.
func patched(img Image, c Change) Image {
	img = img.Clone()
	switch v := c.Value.(type) {
	case nil:
		delete(img.Properties, c.Field)
	case bool:
		*map[string]*bool{fieldHidden: &img.Hidden, fieldProtected: &img.Protected}[c.Field] = v
	case int64:
		*map[string]*int64{fieldMinDisk: &img.MinDisk, fieldMinRAM: &img.MinRAM}[c.Field] = v
	case []string:
		img.Tags = v
	case string:
		switch {
		case c.Property:
			img.Properties[c.Field] = v
		case c.Field == fieldVisibility:
			img.Visibility = Visibility(v)
		default:
			*map[string]*string{fieldDiskFormat: &img.DiskFormat, fieldContainerFormat: &img.ContainerFormat}[c.Field] = v
		}
	}
	return img
}

// Settings over a record are what a service makes of the same changes; what is missing
// brings a record there; and a journal keeps them.
func TestSettingsAreTheChangesTheyWereMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		began := Image{
			ID: "i", Visibility: VisibilityShared, Tags: []string{"b"}, MinDisk: 1, DiskFormat: "qcow2", Properties: map[string]string{"p": "v"},
		}
		var s Settings
		want := began
		changes := rapid.SliceOfN(rapid.Custom(aChange), 0, 12).Draw(t, "changes")
		for _, c := range changes {
			s, want = s.With(c), patched(want, c)
			if !s.Sets(c) || !s.Shows(s.Over(began)) {
				t.Fatalf("%+v is not set", c)
			}
		}
		if diff := cmp.Diff(want, s.Over(began)); diff != "" {
			t.Fatal(diff)
		}
		text, err := json.Marshal(s)
		var read Settings
		if err == nil {
			err = json.Unmarshal(text, &read)
		}
		if diff := cmp.Diff(s, read); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		now := began
		for _, c := range s.Missing(began) {
			now = patched(now, c)
		}
		now.DiskFormat, now.ContainerFormat = want.DiskFormat, want.ContainerFormat
		if !s.Shows(now) || !maps.Equal(now.Properties, want.Properties) || now.Visibility != want.Visibility {
			t.Fatalf("what was missing makes %+v, want %+v", now, want)
		}
		if len(s.Leave(changes)) != 0 {
			t.Fatal("changes are left")
		}
		for _, c := range changes {
			s = s.Without(c)
		}
		if !s.IsZero() {
			t.Fatalf("%+v is left", s)
		}
	})
}

// A create request has what was set, but for what would keep it from being taken back.
func TestSettingsInACreateRequest(t *testing.T) {
	yes, tags := true, []string{}
	s := Settings{Protected: &yes, Hidden: &yes, Tags: &tags}.With(Change{Field: "site", Property: true}).With(Change{Field: fieldMinRAM, Value: int64(5)})
	asked := New{Name: "x", Tags: []string{"t"}, Properties: map[string]string{"site": "here", "p": "v"}}
	got := s.Create(asked)
	if diff := cmp.Diff(New{Name: "x", Tags: []string{}, MinRAM: 5, Properties: map[string]string{"p": "v"}}, got); diff != "" {
		t.Error(diff)
	}
	if asked.Properties["site"] != "here" || !slices.Equal(asked.Tags, []string{"t"}) {
		t.Error("the request that was given has changed")
	}
}

func TestReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"os_glance_importing_to_stores": true, "imagefs_x": true, "owner": true, "name": true, "os_hidden": true, "stores": true,
		"os_distro": false, "imagefs": false, "owner_specified.x": false, "": false,
	} {
		if got := Reserved(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// What was given to a record, and others have changed since, is not missing.
func TestMissingSince(t *testing.T) {
	private, public := VisibilityPrivate, VisibilityPublic
	one, two, no := "1", "2", false
	given := Settings{Visibility: &private, Hidden: &no, Properties: map[string]*string{"a": &one, "b": &one, "gone": nil}}
	theirs := Image{Visibility: public, Hidden: true, Properties: map[string]string{"a": "3", "gone": "back"}}
	if all := given.MissingSince(given, theirs); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	since := given
	since.Properties = map[string]*string{"a": &two, "b": nil, "gone": &one}
	want := []Change{{Field: "a", Property: true, Value: "2"}, {Field: "gone", Property: true, Value: "1"}} // b is not there
	if diff := cmp.Diff(want, since.MissingSince(given, theirs)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(since.Missing(theirs), since.MissingSince(Settings{}, theirs)); diff != "" {
		t.Error(diff)
	}
}
