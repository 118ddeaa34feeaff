package imageserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
)

// graves is the file of deleted ids: one UUID a line, only ever appended to.
type graves struct {
	mu   sync.Mutex // guards the fields below
	file *os.File
	sync bool
	ids  []string // what open found; given away by the first call of list
}

// open reads the file and cuts a line that a kill left unfinished: its image
// still has its record and is deleted by nobody.
func (g *graves) open(path string, sync bool) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open list of deleted images: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return errors.Join(fmt.Errorf("read list of deleted images: %w", err), f.Close())
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole < len(text) {
		if err := f.Truncate(int64(whole)); err != nil {
			return errors.Join(fmt.Errorf("repair list of deleted images: %w", err), f.Close())
		}
	}
	for line := range bytes.Lines(text[:whole]) {
		if id := string(bytes.TrimSpace(line)); validID(id) {
			g.ids = append(g.ids, id)
		}
	}
	g.file, g.sync = f, sync
	return nil
}

func (g *graves) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := g.ids
	g.ids = nil
	return ids
}

// add notes that an id is deleted. When it fails the image is not deleted.
func (g *graves) add(id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	end, err := g.file.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("note deletion of %s: %w", id, err)
	}
	if _, err := g.file.WriteString(id + "\n"); err != nil {
		// Half a line must not spoil the next one.
		return fmt.Errorf("note deletion of %s: %w", id, errors.Join(err, g.file.Truncate(end)))
	}
	if !g.sync {
		return nil
	}
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("note deletion of %s: %w", id, err)
	}
	return nil
}

func (g *graves) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		return nil
	}
	return g.file.Close()
}
