package fs

import "github.com/imagefs/imagefs/image"

// renaming is the journal of a rename over what is there, which on its first note also
// moves the draft of what is renamed: that has to come after the journal knows of it,
// and before the image gets the name.
type renaming struct {
	RenameJournal
	move  func() error // nil: there is no draft, or it has moved
	moved bool
}

// Note journals how far the rename has got.
func (r *renaming) Note(rename image.Rename) error {
	if err := r.RenameJournal.Note(rename); err != nil || r.move == nil {
		return err
	}
	move := r.move
	r.move = nil
	if err := move(); err != nil {
		return err
	}
	r.moved = true
	return nil
}
