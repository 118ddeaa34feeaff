package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/imagefs/imagefs/metrics"
)

// transfers are what is on its way beside uploads, the oldest first.
func (a *about) transfers() []metrics.Transfer {
	all := []metrics.Transfer{}
	add := func(kind, id string, done, total int64, since time.Time, paused bool) {
		t := metrics.Transfer{Kind: kind, Image: id, Name: orElse(a.rooms.catalog.Known(id).Name, id), Done: done, Size: total, Paused: paused}
		if !since.IsZero() {
			t.Seconds = time.Since(since).Seconds()
		}
		all = append(all, t)
	}
	for _, t := range a.rooms.engine.Transfers() {
		kind := metrics.TransferWarm
		if t.Spool {
			kind = metrics.TransferSpool
		}
		add(kind, t.Image, t.Done, t.Total, t.Since, t.Paused)
	}
	if a.rooms.disk != nil {
		for _, v := range a.rooms.disk.Verifying() {
			add(metrics.TransferVerify, v.Key.ID, v.Done, v.Total, v.Since, false)
		}
	}
	slices.SortFunc(all, func(x, y metrics.Transfer) int {
		return cmp.Or(cmp.Compare(y.Seconds, x.Seconds), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Image, y.Image))
	})
	return all
}
