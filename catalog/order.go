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
	id      image.UUID
}

func orderOf(p image.Packed, project string) order {
	t := p.SortTime()
	id, _ := p.UUID()
	return order{rank: rankOf(p, project), created: t.Unix(), nanos: int32(t.Nanosecond()), id: id}
}

func rankOf(p image.Packed, project string) uint8 {
	switch {
	case project == "" || p.Owner() == project:
		return rankOurs
	case p.Visibility() == image.VisibilityPublic:
		return rankPublic
	case p.Visibility() == image.VisibilityShared:
		return rankShared
	case p.Visibility() == image.VisibilityCommunity:
		return rankCommunity
	default:
		return rankOther
	}
}

func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(o.rank, p.rank), cmp.Compare(o.created, p.created),
		cmp.Compare(o.nanos, p.nanos), o.id.Compare(p.id))
}
