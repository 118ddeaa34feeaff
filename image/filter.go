package image

import (
	"path"
	"slices"
	"strings"
)

// Filter chooses which of the images that the credentials can see are shown. The zero
// value shows what the service lists when it is asked for nothing else: own, public and
// accepted shared images that are not hidden.
type Filter struct {
	Visibility Visibility // "" for any
	Owner      string     // a project's id; "" for any
	Tags       []string   // an image has all of them
	Name       string     // a pattern, see ShowsName; "" for any
	Statuses   []Status   // one of them; none for any
	Formats    []string   // disk formats, one of them; none for any
	Hidden     bool       // hidden images, too; never what is in the trash or being made
	Community  bool       // community images of others, too
	// MemberStatus says which images that others share are shown, by what was answered
	// to the offer (see below); "" for accepted ones. A record does not tell it: only
	// the service can choose by it.
	MemberStatus string
}

// The answers to an offered share, in the words of the Image API v2.
const (
	MemberPending  = "pending"
	MemberAccepted = "accepted"
	MemberRejected = "rejected"
	MemberAll      = "all" // any of them, where images are chosen
)

// Shows reports whether the image is shown to a project, "" where that is not known.
// What the service lists with the filter is only a hint of it: its databases may
// compare without case and accents, and an image changes after it was listed.
func (f Filter) Shows(i *Image, project string) bool {
	switch {
	case i.Status == StatusDeleted, i.Status == StatusPendingDelete:
		return false
	case i.Hidden && !f.showsHidden(i):
		return false
	case i.Visibility == VisibilityCommunity && !f.showsCommunity() && project != "" && i.Owner != project:
		return false
	case f.Visibility != "" && i.Visibility != f.Visibility,
		f.Owner != "" && i.Owner != f.Owner,
		len(f.Statuses) > 0 && !slices.Contains(f.Statuses, i.Status),
		len(f.Formats) > 0 && !slices.Contains(f.Formats, i.DiskFormat):
		return false
	}
	for _, tag := range f.Tags {
		if !slices.Contains(i.Tags, tag) {
			return false
		}
	}
	return f.ShowsName(i.Name)
}

func (f Filter) showsHidden(i *Image) bool {
	if !f.Hidden || i.Properties[PropertyDraft] != "" {
		return false
	}
	_, trashed := i.Trashed()
	return !trashed
}

func (f Filter) showsCommunity() bool {
	return f.Community || f.Visibility == VisibilityCommunity
}

// ShowsName reports whether images of this name may be shown. The pattern is that of
// path.Match, but for the slash, which is a character like any other in a name.
func (f Filter) ShowsName(name string) bool {
	if f.Name == "" {
		return true
	}
	matched, err := path.Match(slashless(f.Name), slashless(name))
	return matched && err == nil
}

// slashless writes the slash as a character that no name has.
func slashless(text string) string { return strings.ReplaceAll(text, "/", "\x00") }

// ExactName returns the one name that the pattern matches, if it is of that kind.
func (f Filter) ExactName() (name string, ok bool) {
	return f.Name, f.Name != "" && !strings.ContainsAny(f.Name, `*?[\`)
}
