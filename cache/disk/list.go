package disk

import (
	"cmp"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Listed is one image that has blocks on disk.
type Listed struct {
	Key      image.Key
	Size     int64        // of the whole image, bytes
	Held     int64        // of it on disk, bytes
	Hash     image.Digest // what the whole must have; zero: there is none
	Verified bool         // it is there whole and has been found to have that hash
	Pinned   bool         // files of it are handed out
	Used     time.Time    // when a block was last used, in whole seconds
}

// List returns the images that have blocks on disk, the last used first.
func (s *Store) List() []Listed {
	var list []Listed
	for _, c := range s.all() {
		if !c.onDisk.Load() {
			continue
		}
		l := Listed{Key: c.id.key, Size: c.id.size, Held: s.Held(c.id.key, c.id.size)}
		if c.hash.New() != nil {
			l.Hash = c.hash
		}
		c.io.RLock()
		l.Verified = c.verified != nil && c.complete()
		l.Pinned = c.pins.count > 0
		c.io.RUnlock()
		l.Used = c.lastUse()
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b Listed) int {
		return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Key.Version, b.Key.Version))
	})
	return list
}

// Drop removes all blocks of an image and returns how many bytes that frees. A file that is
// handed out keeps its bytes, which are freed when it is released. What is then read of the
// image is fetched anew.
func (s *Store) Drop(key image.Key, size int64) (freed int64) {
	c := s.known(key, size)
	if c == nil {
		return 0
	}
	c.io.Lock()
	freed = c.clear()
	c.io.Unlock()
	c.forget()
	return freed
}

// known returns the image, if it is open or has blocks on disk.
func (s *Store) known(key image.Key, size int64) *contents {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[identity{key: key, size: size}]
}
