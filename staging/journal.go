package staging

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

const (
	// journalVersion is raised when a reader of the old one would misunderstand
	// the new one. Journals of a later version are reported and left alone.
	journalVersion = 1
	// journalVersionSettings is that of a journal with Settings. A reader that does not
	// know them would publish what was to be private.
	journalVersionSettings = 2

	// maxJournal bounds, in bytes, the journal that is written, and read into memory: ten
	// million extents at some 12 bytes of text each fit.
	maxJournal = 128 << 20

	// maxReason bounds, in bytes, the sentence kept in a journal.
	maxReason = 4096

	dataSuffix    = ".data"      // a draft's bytes; carries the lock
	journalSuffix = ".json"      // its journal
	asideSuffix   = ".json.tmp"  // its next journal, half written
	goneSuffix    = ".discarded" // its journal once the draft is discarded: the data may go
)

// journal is a Record and what else it takes to read the draft again.
type journal struct {
	Record
	layer
}

// layer is what lies over the base: see doc.go.
type layer struct {
	limit int64
	ext   extents
}

// journalWire is the journal's text: one JSON object.
type journalWire struct {
	Verdict verdict `json:"verdict"` // first: see verdict
	Record
	Attributes *attributesWire `json:"attributes,omitempty"`
	Inherited  *inheritedWire  `json:"inherited,omitempty"`
	Layer      *layerWire      `json:"layer,omitempty"` // only over a base
}

// verdict is what a journal can still be told where the disk has no room for another:
// it lies at the same place of each, and is written over. So few bytes near a file's
// beginning are in one sector, which a disk writes whole or not at all.
type verdict string

const (
	noVerdict       verdict = "        "
	verdictUnlinked verdict = "unlinked" // the entry was removed: it is never committed
	verdictFailed   verdict = "failed  " // nobody is promised a commit any more

	// verdictAt is the offset in bytes: see journalWire.
	verdictAt = int64(len(`{"verdict":"`))
)

// verdictReason is the reason of a draft that a verdict calls failed.
const verdictReason = "it was given up when the disk had no room for the reason, which the log tells"

// verdict is the one that says the most important of what the journal says; false where
// none does.
func (j *journal) verdict() (verdict, bool) {
	switch {
	case j.Unlinked:
		return verdictUnlinked, true
	case (j.State == StateFailed || j.State == StateAbandoned) && !j.Accepted:
		return verdictFailed, true
	default:
		return noVerdict, false
	}
}

// judge brings what a verdict says into what the journal said before it.
func (j *journal) judge(v verdict) error {
	switch v {
	case "", noVerdict: // "": written before there was such a thing
	case verdictUnlinked:
		j.Unlinked = true
	case verdictFailed:
		if j.State == StateOpen { // it may have been written since
			j.Synced, j.Uncertain = false, j.Uncertain || j.Base != ""
		}
		j.State, j.Accepted, j.Reason = StateFailed, false, verdictReason
	default:
		return errValue
	}
	return nil
}

type attributesWire struct {
	ModTime *time.Time `json:"mtime,omitempty"`
	Mode    *uint32    `json:"mode,omitempty"`
	UID     *uint32    `json:"uid,omitempty"`
	GID     *uint32    `json:"gid,omitempty"`
	Created *time.Time `json:"created,omitempty"`
}

// inheritedWire is what a successor takes over of a record.
type inheritedWire struct {
	ID              string            `json:"id"`
	Name            string            `json:"name,omitempty"`
	Visibility      image.Visibility  `json:"visibility,omitempty"`
	Owner           string            `json:"owner,omitempty"`
	DiskFormat      string            `json:"disk_format,omitempty"`
	ContainerFormat string            `json:"container_format,omitempty"`
	MinDisk         int64             `json:"min_disk,omitempty"`
	MinRAM          int64             `json:"min_ram,omitempty"`
	Hidden          bool              `json:"hidden,omitempty"`
	Tags            []string          `json:"tags,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	CreatedAt       time.Time         `json:"created_at"`
}

func toInherited(i *image.Image) *inheritedWire {
	if i == nil {
		return nil
	}
	return &inheritedWire{
		ID: i.ID, Name: i.Name, Visibility: i.Visibility, Owner: i.Owner, DiskFormat: i.DiskFormat, ContainerFormat: i.ContainerFormat,
		MinDisk: i.MinDisk, MinRAM: i.MinRAM, Hidden: i.Hidden, Tags: i.Tags, Properties: i.Properties, CreatedAt: i.CreatedAt,
	}
}

func (w *inheritedWire) image() *image.Image {
	if w == nil {
		return nil
	}
	return &image.Image{
		ID: w.ID, Name: w.Name, Visibility: w.Visibility, Owner: w.Owner, DiskFormat: w.DiskFormat, ContainerFormat: w.ContainerFormat,
		MinDisk: w.MinDisk, MinRAM: w.MinRAM, Hidden: w.Hidden, Tags: w.Tags, Properties: w.Properties, CreatedAt: w.CreatedAt,
	}
}

type layerWire struct {
	Limit   int64   `json:"limit"`   // bytes of the base that still show
	Extents []int64 `json:"extents"` // gap, length, gap, length, … of the local bytes below limit
}

func (j *journal) encode() ([]byte, error) {
	w := journalWire{Verdict: noVerdict, Record: j.Record, Inherited: toInherited(j.Inherited)}
	if w.Version = journalVersion; !j.Settings.IsZero() {
		w.Version = journalVersionSettings
	}
	if a := j.Attributes; !a.IsZero() {
		w.Attributes = &attributesWire{ModTime: a.ModTime, Mode: a.Mode, UID: a.UID, GID: a.GID, Created: a.Created}
	}
	if j.Base != "" {
		w.Layer = &layerWire{Limit: j.limit, Extents: j.ext.encode()}
	}
	text, err := json.Marshal(w)
	return append(text, '\n'), err
}

var (
	errNotJournal = errors.New("its journal cannot be read: it is truncated or damaged")
	errWrongDraft = errors.New("its journal names another draft")
	errValue      = errors.New("its journal has an impossible value")
)

// versionError is a journal of a version that this program does not know.
type versionError struct {
	version, known int // known: the latest that is
}

func (v versionError) Error() string {
	return fmt.Sprintf("its journal has version %d, this imagefs knows version %d", v.version, v.known)
}

// newer reports an error that a later version of this program would not have.
func newer(err error) bool {
	var v versionError
	return errors.As(err, &v) && v.version > v.known
}

// parseJournal reads the journal of the given draft. An error says in one line
// what is wrong.
func parseJournal(text []byte, draft string) (journal, error) {
	var probe struct {
		Version *int `json:"version"`
	}
	if json.Unmarshal(text, &probe) != nil || probe.Version == nil {
		return journal{}, errNotJournal
	}
	if *probe.Version != journalVersion && *probe.Version != journalVersionSettings {
		return journal{}, versionError{*probe.Version, journalVersionSettings}
	}
	var w journalWire
	if json.Unmarshal(text, &w) != nil {
		return journal{}, errNotJournal
	}
	j := journal{Record: w.Record}
	j.Version = journalVersion // encode says anew which one it takes
	j.Inherited = w.Inherited.image()
	if w.Draft != draft {
		return journal{}, errWrongDraft
	}
	if !w.State.known() || w.Size < 0 || (w.Base != "") != (w.Layer != nil) {
		return journal{}, errValue
	}
	if a := w.Attributes; a != nil {
		j.Attributes = image.Attributes{ModTime: a.ModTime, Mode: a.Mode, UID: a.UID, GID: a.GID, Created: a.Created}
	}
	if l := w.Layer; l != nil {
		if l.Limit < 0 {
			return journal{}, errValue
		}
		ext, err := decodeExtents(l.Extents, l.Limit)
		if err != nil {
			return journal{}, err
		}
		j.layer = layer{limit: l.Limit, ext: ext}
	}
	return j, j.judge(w.Verdict)
}

// writeJournal puts the journal on disk so that a crash at any point leaves the
// old one or the new one, whole.
func writeJournal(d disk, j *journal) error {
	text, err := j.encode()
	if err != nil {
		return err
	}
	if err := j.fits(len(text), maxJournal); err != nil {
		return err
	}
	aside := j.Draft + asideSuffix
	err = d.write(aside, text)
	if err == nil {
		err = d.rename(aside, j.Draft+journalSuffix)
	}
	if err == nil {
		return d.sync()
	}
	err = errors.Join(err, d.remove(aside)) // a full disk gets its blocks back
	if v, ok := j.verdict(); ok && kindOf(err) == image.LocalFull {
		if d.patch(j.Draft+journalSuffix, []byte(v), verdictAt) == nil {
			return nil
		}
	}
	return err
}

// fits refuses a text that could not be read again.
func (j *journal) fits(length, limit int) error {
	if length <= limit {
		return nil
	}
	return &image.Error{Op: "journal draft", Image: j.Draft, Kind: image.LocalFull,
		Detail: fmt.Sprintf("it is written in more pieces than a journal can name (%d)", j.ext.count())}
}

// draftOf returns the draft that a file belongs to, when the name is a draft id
// in its canonical form and the suffix.
func draftOf(name, suffix string) (string, bool) {
	id, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return "", false
	}
	parsed, err := uuid.Parse(id)
	return id, err == nil && parsed.String() == id
}

// oneLine makes a reason fit for a journal and a log.
func oneLine(reason string) string {
	reason = strings.ToValidUTF8(strings.Join(strings.Fields(reason), " "), "�")
	for i := range reason {
		if i > maxReason-utf8Slack {
			return reason[:i]
		}
	}
	return reason
}

// utf8Slack is the longest rune in bytes.
const utf8Slack = 4

// maxOffset is the first offset that no draft can have.
const maxOffset = math.MaxInt64
