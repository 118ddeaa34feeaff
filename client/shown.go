package client

import (
	"time"

	"github.com/imagefs/imagefs/image"
)

// anyVisibility lists community images of others beside what is listed by default.
const anyVisibility image.Visibility = "all"

// Shown returns what to list, one after the other, for the images that f shows. The
// listings may hold others, and an image twice: the later record is the newer one. An
// image that is hidden meanwhile is not missed.
func Shown(f image.Filter) []Filter {
	shown := Filter{
		Visibility: f.Visibility, Statuses: f.Statuses, Formats: f.Formats, Owner: f.Owner, Tags: f.Tags, MemberStatus: f.MemberStatus,
	}
	if f.Community && f.Visibility == "" {
		shown.Visibility = anyVisibility
	}
	if name, ok := f.ExactName(); ok {
		shown.Name = &name
	}
	if !f.Hidden {
		return []Filter{shown}
	}
	return []Filter{shown, shown.hidden()}
}

// Changed returns what to list for the images that were changed since a time and that
// f shows, or showed before: the service cannot say which ones have left a filter, so
// that it is asked for all of them. project is whose images are listed, "" where that
// is not known.
func Changed(f image.Filter, project string, since time.Time) []Filter {
	changed := Filter{MemberStatus: f.MemberStatus, UpdatedSince: since}
	if project != "" || f.Community || f.Visibility == image.VisibilityCommunity { // else nobody can tell whether a community image is listed
		changed.Visibility = anyVisibility
	}
	return []Filter{changed, changed.hidden()}
}

func (f Filter) hidden() Filter {
	f.Hidden = true
	return f
}
