package metrics

import "time"

// Blocks is where the blocks of images are, for those who want to see them come. It has a
// bound, however many images there are and however large. Its JSON keys are a promise as
// those of Snapshot are.
type Blocks struct {
	BlockSize int64         `json:"block_bytes"`
	Images    []ImageBlocks `json:"images"` // those that are open first, then those that were used last
}

// ImageBlocks is one image. Its blocks are counted in cells, of which Memory, Disk and
// InFlight have one number each, in the image's order: a block is in one of them, or is
// missing.
type ImageBlocks struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"` // its entry; the id where that is not known
	Size          int64     `json:"size_bytes"`
	Readers       int       `json:"readers"` // that have it open, imagefs's own too
	Used          time.Time `json:"used"`
	BlocksPerCell int64     `json:"blocks_per_cell"` // the last cell may have fewer

	Memory   []int `json:"memory"`    // in memory, and maybe on disk, too
	Disk     []int `json:"disk"`      // on disk only
	InFlight []int `json:"in_flight"` // in a request under way
}

const (
	// MostImages are listed, so that an answer of theirs is some 150 KiB at most, and a page fits
	// in a browser's hands.
	MostImages = 16
	// MostCells of an image are enough to see where it fills, also on a large screen.
	MostCells = 512
)
