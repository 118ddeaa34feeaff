package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestFilter(t *testing.T) {
	for _, tc := range []struct {
		sources Sources
		want    image.Filter
	}{
		{Sources{}, image.Filter{}},
		{
			Sources{Flags: flagsOf(t, "tag=b", "tag=a,c", "tag=b", "status=queued", "status=active", "format=raw", "format=iso", "name=a[/b]*")},
			image.Filter{
				Tags: []string{"b", "a,c"}, Statuses: []image.Status{image.StatusQueued, image.StatusActive}, Formats: []string{"raw", "iso"}, Name: "a[/b]*",
			},
		},
		{
			Sources{Getenv: envOf("IMAGEFS_TAG=a,b", "IMAGEFS_STATUS=active,queued", "IMAGEFS_HIDDEN=true", "IMAGEFS_VISIBILITY=public")},
			image.Filter{
				Tags: []string{"a", "b"}, Statuses: []image.Status{image.StatusActive, image.StatusQueued}, Hidden: true, Visibility: image.VisibilityPublic,
			},
		},
		{
			Sources{File: fileOf(t, "community: true\nformat: [raw, qcow2]\nmember-status: all\nowner: p\n")},
			image.Filter{Community: true, Formats: []string{"raw", "qcow2"}, MemberStatus: image.MemberAll, Owner: "p"},
		},
		{ // an empty value takes an earlier one back
			Sources{
				Getenv: envOf("IMAGEFS_VISIBILITY=public", "IMAGEFS_NAME=a", "IMAGEFS_OWNER=p", "IMAGEFS_MEMBER_STATUS=all"),
				Flags:  flagsOf(t, "visibility=", "name=", "owner=", "member-status="),
			},
			image.Filter{},
		},
		{Sources{Flags: flagsOf(t, "community=true", "visibility=community")}, image.Filter{Community: true, Visibility: image.VisibilityCommunity}},
	} {
		tc.sources.Host = testHost
		c, _, err := Load(tc.sources)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tc.want, c.Filter); diff != "" {
			t.Error(diff)
		}
	}
	c, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t, "tag=b", "tag=a c", "name=x*", "hidden=true")})
	if diff := cmp.Diff([]string{"--tag=b", "--tag=a c", "--name=x*", "--hidden"}, FilterFlags(c)); diff != "" || err != nil {
		t.Errorf("%s%v", diff, err)
	}
	if flags := FilterFlags(Config{}); len(flags) > 0 {
		t.Errorf("%q", flags)
	}
	if c, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t, "name=")}); err != nil || c.Filter.Name != "" {
		t.Errorf("%q, %v", c.Filter.Name, err)
	}
}
