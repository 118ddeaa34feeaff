package client

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Filter chooses which images to list. The zero value lists what the service
// lists by default: own, public and accepted shared images that are not hidden.
type Filter struct {
	// Name lists only images of exactly this name. The service's comparison
	// is only a hint (some databases ignore case), so it is made again here.
	Name       *string
	Hidden     bool // hidden images, instead of the others
	Visibility image.Visibility
	Statuses   []image.Status // one of them; none for any
	Formats    []string       // disk formats, one of them; none for any
	Owner      string
	Tags       []string // all of them
	// MemberStatus chooses among the images that others share; "" for accepted ones.
	MemberStatus string
	// UpdatedSince lists only images that were changed at this time or later, by
	// the service's clock; the zero time lists all. Deletions do not show, an
	// image that was hidden shows in the hidden listing only, and a share that
	// was accepted does not move an image's time.
	UpdatedSince time.Time
}

// filterTime is a time as the service's filters take it. They have whole seconds,
// as its records do.
const filterTime = "2006-01-02T15:04:05Z"

func (f Filter) query() url.Values {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}, "sort": {"created_at:asc"}}
	if f.Name != nil {
		// Without an operator Glance takes a colon in the name for one.
		q.Set("name", "eq:"+*f.Name)
	}
	if f.Hidden {
		q.Set("os_hidden", "true")
	}
	for key, value := range map[string]string{
		"visibility": string(f.Visibility), "owner": f.Owner, "member_status": f.MemberStatus,
		"status": anyOf(f.Statuses), "disk_format": anyOf(f.Formats),
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if !f.UpdatedSince.IsZero() {
		// gt: and lte: of a second that has fractions differ between databases.
		q.Set("updated_at", "gte:"+f.UpdatedSince.UTC().Format(filterTime))
	}
	for _, t := range f.Tags {
		if t == strings.TrimSpace(t) { // the service trims what it is asked for
			q.Add("tag", t)
		}
	}
	return q
}

// anyOf asks for one of several words; "" where there are none.
func anyOf[T ~string](words []T) string {
	if len(words) == 0 {
		return ""
	}
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return "in:" + strings.Join(list, ",")
}
