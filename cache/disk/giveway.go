package disk

import (
	"errors"
	"os"
)

// ErrAsked is wrapped beside ErrInUse where it is no mount that has the directory but a
// Store of OpenIdle, which was asked now to give it free: who tries again for a while gets
// it.
var ErrAsked = errors.New("asked to give it free")

// idleName is the file by which a Store of OpenIdle is told from a mount: it lies there
// while such a one has the lock, and whoever else wants the lock removes it, to say so. It
// stays when the lock is given free, for else there were a moment with the one and without
// the other, and goes when a mount takes it.
const idleName = "idle"

// markIdle reports whether it has made the file, which comes before the lock.
func markIdle(root *os.Root) (made bool) {
	f, err := root.OpenFile(idleName, createFlags, fileMode)
	if err != nil {
		return false
	}
	_ = f.Close() // nothing was written
	return true
}

func isMarked(root *os.Root) bool {
	_, err := root.Lstat(idleName)
	return err == nil
}

// Asked reports whether somebody waits for a Store of OpenIdle to be closed.
func (s *Store) Asked() bool { return s.idle && !isMarked(s.root) }
