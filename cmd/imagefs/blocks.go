package main

import (
	"cmp"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/metrics"
)

// blocks tells where the blocks of images are, from memory.
func (a *about) blocks() metrics.Blocks {
	b := metrics.Blocks{BlockSize: cache.BlockSize, Images: []metrics.ImageBlocks{}}
	for _, m := range a.rooms.cache.BlockMaps(metrics.MostImages, metrics.MostCells) {
		i := metrics.ImageBlocks{
			ID: m.Key.ID, Name: cmp.Or(a.rooms.catalog.Known(m.Key.ID).Name, m.Key.ID),
			Size: m.Size, Readers: m.Files, Used: m.Used.UTC(), BlocksPerCell: m.Per,
		}
		for _, c := range m.Cells {
			i.Memory = append(i.Memory, c.Memory)
			i.Disk = append(i.Disk, c.Disk)
			i.InFlight = append(i.InFlight, c.InFlight)
		}
		b.Images = append(b.Images, i)
	}
	return b
}
