package staging

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

const (
	// renameSuffix ends the name of a rename's journal: see doc.go.
	renameSuffix = ".rename"
	// renameVersion is to a rename's journal what journalVersion is to a draft's.
	renameVersion = 1
	// maxRename bounds, in bytes, the journal of a rename that is read into memory:
	// some copies of two records, of which a service lets none be that long.
	maxRename = 16 << 20
)

// RenameSpec is what a rename means for the directory and for drafts.
type RenameSpec struct {
	From, To string // entries
	// Gone is the draft that has had the entry To and is unlinked by the rename;
	// Moves the one that lies over what is renamed and goes with it. "" for none.
	Gone, Moves string
}

// Rename is what the journal of a rename over an image, over a draft, or of an image with a
// draft, says.
type Rename struct {
	image.Rename
	RenameSpec
	ID      string // of the journal
	Project string // "" when unknown
	Begun   time.Time

	Path   string
	Held   bool   // a mount is about it
	Damage string // one line; "" for none. Then only ID and Path are sure
	Newer  bool   // it is only that a later version of this program wrote it
}

// renameWire is one line of the journal.
type renameWire struct {
	Version    int            `json:"version"`
	ID         string         `json:"rename"`
	Service    string         `json:"service"`
	Project    string         `json:"project,omitempty"`
	From       string         `json:"from"`
	To         string         `json:"to"`
	Gone       string         `json:"gone,omitempty"`
	Moves      string         `json:"moves,omitempty"`
	Begun      time.Time      `json:"begun"`
	Image      *inheritedWire `json:"image"`
	Name       string         `json:"name"`
	Over       *inheritedWire `json:"over,omitempty"`
	Attributes string         `json:"attributes,omitempty"`
	Members    []memberWire   `json:"members,omitempty"`
	Noted      bool           `json:"noted,omitempty"`
	Undone     bool           `json:"undone,omitempty"`
	Ended      bool           `json:"ended,omitempty"`
	Named      bool           `json:"named,omitempty"`
}

type memberWire struct {
	Project string `json:"project"`
	Status  string `json:"status,omitempty"`
}

// RenameJournal is the journal of one rename, held by this process from its first Note
// on. It belongs to one goroutine.
type RenameJournal struct {
	store   *Store
	rec     Rename
	file    *os.File // nil before the first Note
	size    int64    // of what is whole and on the disk
	settled bool
}

// BeginRename begins a journal, of which nothing is on the disk before its first Note.
// The caller ends it.
func (s *Store) BeginRename(spec RenameSpec) *RenameJournal {
	return &RenameJournal{store: s, rec: Rename{
		RenameSpec: spec, ID: uuid.NewString(), Project: s.project, Begun: s.clock().UTC(),
	}}
}

// ID is the id of the journal.
func (j *RenameJournal) ID() string { return j.rec.ID }

// Drafted reports whether the rename decides about a draft.
func (j *RenameJournal) Drafted() bool { return j.rec.Moves != "" || j.rec.Gone != "" }

// Rename returns what the journal says.
func (j *RenameJournal) Rename() Rename { return j.rec }

// Note puts on the disk how far the rename has got: before the action that comes next.
// On an error the journal says what it did before. A full disk is kind LocalFull.
func (j *RenameJournal) Note(r image.Rename) error {
	rec := j.rec
	rec.Rename = r
	err := j.note(rec)
	for try := 1; errors.Is(err, errSwept) && try < createTries; try++ {
		err = j.note(rec)
	}
	if err == nil {
		j.rec = rec
	}
	return fail("journal rename", r.Name, err)
}

func (j *RenameJournal) note(rec Rename) error {
	line, err := encodeRename(rec, j.store.service)
	if err != nil {
		return err
	}
	if j.file == nil {
		return j.create(line)
	}
	return j.append(line)
}

// create makes the journal with its first line, or leaves nothing.
func (j *RenameJournal) create(line []byte) error {
	s := j.store
	f, err := s.disk.create(j.rec.ID + renameSuffix)
	if err != nil {
		return err
	}
	j.file = f
	held, err := lock(f, syscall.LOCK_EX)
	if err == nil && (!held || !linked(f)) {
		err = errSwept
	}
	if err == nil {
		err = j.append(line)
	}
	if err == nil {
		err = s.disk.sync()
	}
	if err != nil {
		j.file, j.size = nil, 0
		return errors.Join(err, s.disk.remove(j.rec.ID+renameSuffix), f.Close())
	}
	return nil
}

func (j *RenameJournal) append(line []byte) error {
	n, err := pwrite(j.file, line, j.size)
	if err == nil {
		err = j.store.sync(j.file)
	}
	if err != nil {
		return errors.Join(err, j.file.Truncate(j.size)) // the next line must not follow half of this
	}
	j.size += int64(n)
	return nil
}

// Settled says that what the rename needs of the service is done, or taken back.
func (j *RenameJournal) Settled() { j.settled = true }

// End lets go of the journal. It removes it where it is Settled, else it is left for
// the next who looks (Renames), which left says. An error leaves it there, too: who
// finds it finds everything done.
func (j *RenameJournal) End() (left bool, err error) {
	if j.file == nil {
		return false, nil
	}
	f := j.file
	j.file = nil
	if j.settled {
		err = j.store.disk.remove(j.rec.ID + renameSuffix)
	}
	return !j.settled, fail("end the journal of a rename", j.rec.Name, errors.Join(err, f.Close()))
}

// Renames lists the renames of this service that have not ended, those that somebody
// is about too (Held), in no order.
func (s *Store) Renames() ([]Rename, error) {
	names, err := s.disk.list()
	if err != nil {
		return nil, fail("list renames in "+s.path, "", err)
	}
	var all []Rename
	for _, name := range names {
		if id, ok := draftOf(name, renameSuffix); ok {
			if r, ok := s.lookAtRename(id); ok {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// lookAtRename reads one journal; false when it is gone, or not there yet.
func (s *Store) lookAtRename(id string) (Rename, bool) {
	r := Rename{ID: id, Path: filepath.Join(s.path, id+renameSuffix)}
	f, err := s.disk.open(id + renameSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, false
	case err != nil:
		r.Damage = "its journal cannot be read: " + err.Error()
		return r, true
	}
	defer closeRead(s.log, f)
	free, err := lock(f, syscall.LOCK_SH)
	held := err == nil && !free
	read, _, err := s.readRename(f, id)
	switch {
	case errors.Is(err, errUnbegun):
		return r, false
	case err != nil:
		r.Damage, r.Newer = err.Error(), newer(err)
	default:
		r = read
	}
	r.Held = held
	return r, true
}

// TakeRename takes a journal that nobody is about. One that somebody has is kind Busy,
// one that is not there NotFound, a damaged one Corrupt.
func (s *Store) TakeRename(id string) (*RenameJournal, error) {
	const op = "take rename"
	f, err := s.disk.open(id + renameSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &image.Error{Op: op, Image: id, Kind: image.NotFound, Err: err}
	case err != nil:
		return nil, fail(op, id, err)
	}
	if err := s.claim(f, op, id); err != nil {
		return nil, err
	}
	r, size, err := s.readRename(f, id)
	if err != nil {
		closeRead(s.log, f)
		return nil, &image.Error{Op: op, Image: id, Kind: image.Corrupt, Err: err}
	}
	return &RenameJournal{store: s, rec: r, file: f, size: size}, nil
}

// errUnbegun: not even the first line was written whole, so nothing else was done.
var errUnbegun = errors.New("the rename had not begun")

// readRename reads the last line that is whole, and how far it goes.
func (s *Store) readRename(f *os.File, id string) (Rename, int64, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxRename+1))
	if err == nil && len(text) > maxRename {
		err = errTooLong
	}
	if err != nil {
		return Rename{}, 0, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole == 0 {
		return Rename{}, 0, errUnbegun
	}
	size := int64(whole)
	for ; whole > 0; whole = bytes.LastIndexByte(text[:whole-1], '\n') + 1 {
		line := text[bytes.LastIndexByte(text[:whole-1], '\n')+1 : whole]
		var probe struct {
			Version int `json:"version"`
		}
		var w renameWire
		switch {
		case !json.Valid(line): // the machine went down while it was written
			size = int64(whole - len(line))
			continue
		case json.Unmarshal(line, &probe) != nil:
			return Rename{}, 0, errNotJournal
		case probe.Version != renameVersion:
			return Rename{}, 0, versionError{probe.Version, renameVersion}
		case json.Unmarshal(line, &w) != nil:
			return Rename{}, 0, errNotJournal
		case w.ID != id || w.Image == nil || w.Image.ID == "":
			return Rename{}, 0, errValue
		case w.Service != s.service:
			return Rename{}, 0, errors.New("its journal belongs to the service " + w.Service)
		}
		r := w.rename()
		r.Path = filepath.Join(s.path, id+renameSuffix)
		return r, size, nil
	}
	return Rename{}, 0, errNotJournal
}

// sweepRename removes a journal whose rename had not begun.
func (s *Store) sweepRename(id string) error {
	f, err := s.disk.open(id + renameSuffix)
	if err != nil {
		return nil // gone, or Renames reports it
	}
	defer closeRead(s.log, f)
	if held, err := lock(f, syscall.LOCK_EX); err != nil || !held {
		return err
	}
	if _, _, err := s.readRename(f, id); errors.Is(err, errUnbegun) {
		return s.disk.remove(id + renameSuffix)
	}
	return nil
}

func encodeRename(r Rename, service string) ([]byte, error) {
	w := renameWire{
		Version: renameVersion, ID: r.ID, Service: service, Project: r.Project, From: r.From, To: r.To, Gone: r.Gone, Moves: r.Moves,
		Begun: r.Begun, Image: toInherited(&r.Image), Name: r.Name, Over: toInherited(r.Over), Attributes: r.Attributes,
		Noted: r.Noted, Undone: r.Undone, Ended: r.Ended, Named: r.Named,
	}
	for _, m := range r.Members {
		w.Members = append(w.Members, memberWire{Project: m.Project, Status: m.Status})
	}
	line, err := json.Marshal(w)
	return append(line, '\n'), err
}

func (w renameWire) rename() Rename {
	r := Rename{
		Rename: image.Rename{
			Image: *w.Image.image(), Name: w.Name, Over: w.Over.image(), Attributes: w.Attributes,
			Noted: w.Noted, Undone: w.Undone, Ended: w.Ended, Named: w.Named,
		},
		RenameSpec: RenameSpec{From: w.From, To: w.To, Gone: w.Gone, Moves: w.Moves},
		ID:         w.ID, Project: w.Project, Begun: w.Begun,
	}
	for _, m := range w.Members {
		r.Members = append(r.Members, image.Member{Project: m.Project, Status: m.Status})
	}
	return r
}
