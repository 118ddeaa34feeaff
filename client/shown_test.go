package client

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestShown(t *testing.T) {
	name := "a b"
	for _, tc := range []struct {
		filter image.Filter
		want   []Filter
	}{
		{image.Filter{}, []Filter{{}}},
		{image.Filter{Hidden: true}, []Filter{{}, {Hidden: true}}},
		{image.Filter{Community: true}, []Filter{{Visibility: "all"}}},
		{image.Filter{Community: true, Visibility: image.VisibilityCommunity}, []Filter{{Visibility: image.VisibilityCommunity}}},
		{image.Filter{Name: name}, []Filter{{Name: &name}}},
		{image.Filter{Name: "a*"}, []Filter{{}}},
		{
			image.Filter{
				Visibility: image.VisibilityPublic, Owner: "o", Tags: []string{"t"}, Statuses: []image.Status{image.StatusActive},
				Formats: []string{"raw"}, MemberStatus: image.MemberAll, Hidden: true,
			},
			[]Filter{
				{
					Visibility: image.VisibilityPublic, Owner: "o", Tags: []string{"t"}, Statuses: []image.Status{image.StatusActive},
					Formats: []string{"raw"}, MemberStatus: image.MemberAll,
				},
				{
					Visibility: image.VisibilityPublic, Owner: "o", Tags: []string{"t"}, Statuses: []image.Status{image.StatusActive},
					Formats: []string{"raw"}, MemberStatus: image.MemberAll, Hidden: true,
				},
			},
		},
	} {
		if diff := cmp.Diff(tc.want, Shown(tc.filter)); diff != "" {
			t.Errorf("%+v: %s", tc.filter, diff)
		}
	}
}

// An image that has left a filter changed, too: nothing but the time is sent.
func TestChanged(t *testing.T) {
	since := time.Unix(1, 0)
	f := image.Filter{Visibility: image.VisibilityPublic, Name: "a", Tags: []string{"t"}, MemberStatus: image.MemberAll}
	for project, visibility := range map[string]image.Visibility{"p": "all", "": ""} {
		want := []Filter{
			{Visibility: visibility, MemberStatus: image.MemberAll, UpdatedSince: since},
			{Visibility: visibility, MemberStatus: image.MemberAll, UpdatedSince: since, Hidden: true},
		}
		if diff := cmp.Diff(want, Changed(f, project, since)); diff != "" {
			t.Errorf("project %q: %s", project, diff)
		}
	}
}
