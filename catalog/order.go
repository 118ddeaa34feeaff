package catalog

import (
	"cmp"

	"github.com/imagefs/imagefs/image"
)

// The ranks of images of one name: what is ours cannot lose its entry to what
// others make or share.
const (
	rankOurs uint8 = iota
	rankPublic
	rankShared
	rankCommunity
	rankOther // private images of others, which only an admin sees
)

// order decides which of several images of one name comes first. It depends on
// the record and the project alone, so that two hosts agree.
type order struct {
	rank    uint8
	created int64 // Unix seconds
	nanos   int32 // of an inherited time
	id      string
}

func orderOf(img *image.Image, project string) order {
	t := img.SortTime()
	return order{rank: rankOf(img, project), created: t.Unix(), nanos: int32(t.Nanosecond()), id: img.ID}
}

func rankOf(img *image.Image, project string) uint8 {
	switch {
	case project == "" || img.Owner == project:
		return rankOurs
	case img.Visibility == image.VisibilityPublic:
		return rankPublic
	case img.Visibility == image.VisibilityShared:
		return rankShared
	case img.Visibility == image.VisibilityCommunity:
		return rankCommunity
	default:
		return rankOther
	}
}

func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(o.rank, p.rank), cmp.Compare(o.created, p.created),
		cmp.Compare(o.nanos, p.nanos), cmp.Compare(o.id, p.id))
}
