package staging

import (
	"time"

	"github.com/imagefs/imagefs/image"
)

// State says how far a draft's commit got. Each is journaled before the action
// that it announces.
type State string

// The states of a draft.
const (
	// StateOpen: being written; no commit runs. The first change after a commit,
	// failed or not, brings a draft back to it.
	StateOpen State = "open"
	// StateCommitting: a close has begun; Record.Image may exist in the service.
	StateCommitting State = "committing"
	// StateCreated: Record.Image was created, hidden; its upload may have begun.
	StateCreated State = "created"
	// StateUploaded: every byte was sent and checked; the image is still hidden.
	StateUploaded State = "uploaded"
	// StateVisible: the image is visible; what it replaces may have to be retired.
	StateVisible State = "visible"
	// StateCommitted: the service has everything, and what was replaced is
	// retired. The draft lives on because a handle does; nobody needs to recover it.
	StateCommitted State = "committed"
	// StateFailed: a commit failed; Record.Reason says why.
	StateFailed State = "failed"
	// StateAbandoned: its writer was killed; never committed unless the user asks.
	StateAbandoned State = "abandoned"
)

func (s State) known() bool {
	switch s {
	case StateOpen, StateCommitting, StateCreated, StateUploaded, StateVisible, StateCommitted, StateFailed, StateAbandoned:
		return true
	default:
		return false
	}
}

// Checked reports a state in which the service has every byte, and they have been
// compared: only the record has to be brought to its end.
func (s State) Checked() bool { return s == StateUploaded || s == StateVisible }

// Record is what a draft's journal says. It is a value; what its Attributes,
// Settings, Given and Inherited point to is never changed.
type Record struct {
	Version int    `json:"version"`
	Draft   string `json:"draft"`           // id of the draft, a UUID in lower case
	Image   string `json:"image,omitempty"` // id that the commit under way (or the failed one) chose; "" before
	// Whole is the id of an image that a commit which has failed since had published, with
	// all the bytes that the draft still has; "" once these have changed.
	Whole   string `json:"whole,omitempty"`
	Name    string `json:"name"`    // the image's name
	Entry   string `json:"entry"`   // what the directory shows
	Service string `json:"service"` // canonical URL of the Image API
	Project string `json:"project,omitempty"`
	Cloud   string `json:"cloud,omitempty"` // entry of clouds.yaml that the mount was told; "" for another way
	State   State  `json:"state"`
	// Unlinked: the entry was removed, and the draft must not be committed. Where
	// Image is set, a commit was under way and may have left that image.
	Unlinked bool `json:"unlinked,omitempty"`
	// Accepted: a close was answered before the commit, which is owed since then,
	// also after one that failed.
	Accepted bool   `json:"accepted,omitempty"`
	Replaces string `json:"replaces,omitempty"` // id of the image that the commit retires
	// Removing is the id of the image that was being deleted because the entry was being
	// removed: where that is gone, the process died before it unlinked the draft. Any
	// other state of the draft, or another name, takes it back.
	Removing string `json:"removing,omitempty"`
	// Supersedes is the id of the draft that this one was renamed over last: where both
	// are found, the process died before the other was unlinked.
	Supersedes string `json:"supersedes,omitempty"`
	Into       string `json:"into,omitempty"` // id of an own queued record to upload into
	// Filling: an upload into Into has begun, and the service has not refused it for what
	// the record had by then. Without it data in that record is somebody else's.
	Filling bool `json:"filling,omitempty"`
	// Empty: Image was asked for without data. Where it has some, or gets it, that is not
	// this draft's.
	Empty bool   `json:"empty,omitempty"`
	Base  string `json:"base,omitempty"` // id of the image under a copy-on-write draft
	// BaseVersion tells the bytes of Base from others (image.Key); "" where the
	// journal was written before there was such a thing.
	BaseVersion string `json:"base_version,omitempty"`
	Inherit     string `json:"inherit,omitempty"` // id of the image whose record is carried over
	// Members are the projects with which that image was shared, where a commit has removed it:
	// then nobody else knows them.
	Members []string `json:"members,omitempty"`
	Size    int64    `json:"size"`             // bytes; in a journal as of its writing, elsewhere live
	Reason  string   `json:"reason,omitempty"` // one line: why it failed or was abandoned
	// Settings are what was set of the image's record before it is there; the commit gives
	// them to it.
	Settings image.Settings `json:"settings,omitzero"`
	// Given are those that the update which publishes the image has brought to it, if that
	// was sent: the mark, which it takes away, tells.
	Given image.Settings `json:"given,omitzero"`
	// Unsure: an abandoned draft is kept without a time limit: nobody could tell whether
	// its writer was killed, or a close was answered before that writer came.
	Unsure bool `json:"unsure,omitempty"`
	// Boot is the kernel's boot id when the journal was written and Synced whether
	// all that the journal covers was fsynced by then: after a crash the data file
	// is what the journal says if either Synced is set or Boot is still the same
	// (then only the process died, and the page cache did not).
	Boot   string `json:"boot,omitempty"`
	Synced bool   `json:"synced,omitempty"`
	// Closed: who had the draft let go of it by Close or Keep, so that nothing was
	// written after this journal.
	Closed bool `json:"closed,omitempty"`
	// Uncertain: bytes may be missing that were written after the last fsync: over a
	// base because the process died with what the journal did not know yet, else
	// because the machine did, an fsync has failed, or a write was refused and the file
	// closed all the same. Once found it stays.
	Uncertain bool      `json:"uncertain,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	Attributes image.Attributes `json:"-"` // pending; journaled in short words of its own

	// Inherited is the record that Inherit names as it was known when it was noted:
	// all there is once somebody has deleted it. nil where it was not known. It is
	// journaled as far as a successor takes it over.
	Inherited *image.Image `json:"-"`

	// The fields below are not journaled.
	Path   string `json:"-"` // the data file
	Stored int64  `json:"-"` // bytes that the data file occupies on disk; only from Kept and Survey
	Held   bool   `json:"-"` // somebody has it: a mount writes or commits it, or a command; only from Survey
	// Damage says in one line what is wrong with the journal or the data file; ""
	// when nothing is. A damaged draft is never touched, and of its Record only
	// Draft, Path, Size and Stored are sure.
	Damage string `json:"-"`
	// Newer: what is wrong is that a later version of this program wrote the journal. Only
	// that one can tell what the draft needs.
	Newer bool `json:"-"`
}
