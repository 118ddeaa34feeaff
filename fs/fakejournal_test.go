package fs

import (
	"context"
	"fmt"

	"github.com/imagefs/imagefs/image"
)

// BeginRename begins a journal in memory.
func (h *house) BeginRename(spec RenameSpec) RenameJournal {
	return &fakeJournal{h: h, spec: spec}
}

// fakeJournal is the journal of a rename.
type fakeJournal struct {
	h       *house
	spec    RenameSpec
	settled bool
	ended   bool
}

func (j *fakeJournal) ID() string    { return fmt.Sprintf("%p", j) }
func (j *fakeJournal) Drafted() bool { return j.spec.Moves != "" || j.spec.Gone != "" }

// Note journals before the hook of what comes next, where the hook lets it.
func (j *fakeJournal) Note(image.Rename) error {
	if err := j.h.ask(context.Background(), "journal rename", j.spec.To); err != nil {
		return err
	}
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	j.h.renames = append(j.h.renames, j)
	return nil
}

func (j *fakeJournal) Settled() {
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	j.settled = true
}

func (j *fakeJournal) End() error {
	j.h.mu.Lock()
	defer j.h.mu.Unlock()
	j.ended = true
	return nil
}
