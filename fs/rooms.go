package fs

import (
	"context"
	"os"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Entry is what the directory shows under one file name.
type Entry struct {
	Name  string       // the file name
	Image image.Packed // ID is "" for a new draft
	Draft string       // id of the draft that lies over the entry, or ""
}

// Listing is what a directory shows to one reader, from the first entry to the last.
// What an index stands for never changes, so that a reader may pause and go back.
type Listing interface {
	// At returns the entry with index i; ok is false at the end. It waits, with ctx,
	// while the service has not come to it yet.
	At(ctx context.Context, i int) (e Entry, ok bool, err error)
	// Ready reports whether At would not wait.
	Ready(i int) bool
	// Still reports whether an entry of it stands for the same by now, as far as is
	// known: it asks nobody.
	Still(e Entry) bool
}

// Directory answers what the root directory shows. Its methods obey ctx; Lookup and
// List answer from memory where what they know is young enough.
type Directory interface {
	Lookup(ctx context.Context, entry string) (Entry, error)
	List(ctx context.Context) (Listing, error)
	// Fresh asks the service for the record of an image, whatever is remembered of it;
	// NotFound where it is gone or in the trash.
	Fresh(ctx context.Context, id string) (image.Image, error)
}

// Images answers what .by-id shows: any image that the credentials can see.
type Images interface {
	ByID(ctx context.Context, id string) (image.Image, error)
	// IDs lists what List lists, each image under its id.
	IDs(ctx context.Context) (Listing, error)
	// Gone says that the service has just called an image gone, so that its entry is
	// looked up anew. It never waits.
	Gone(id string)
}

// Changer changes images at the service and the directory with them. An error
// means that nothing was changed that can be seen, or that the service did not
// answer whether it was.
type Changer interface {
	Remove(ctx context.Context, id string) error
	// Rename names img after the entry; over, where given, is retired. Further
	// changes of attributes travel along; img shows them already. With an error and
	// a record, img has the name, but whether over is retired is not known. j, nil for
	// none, is told of each step before it is done.
	Rename(ctx context.Context, img image.Image, entry string, over *image.Image, j RenameJournal, also ...image.Change) (image.Image, error)
	Update(ctx context.Context, id string, changes []image.Change) (image.Image, error)
	// FinishBefore finishes, or takes back, a rename of the image that was not answered.
	// Stale means that the image has another name now. It makes no request where there is
	// no such rename.
	FinishBefore(ctx context.Context, id string) error
	// FinishAt does the same for an entry that is to be made, which an image may have been
	// renamed from or to. Stale means that there is one now.
	FinishAt(ctx context.Context, entry string) error
}

// Overlay shows drafts in the directory, over the images there. None of its
// methods waits.
type Overlay interface {
	AddDraft(entry, draft string) error
	MoveDraft(draft, entry string)
	RemoveDraft(draft string)
}

// Names maps entries to the names of images.
type Names interface {
	ImageName(entry string) (string, error)
}

// Usage tells how much the service lets this project store, in bytes. ok is false
// where the service has no limits.
type Usage interface {
	Storage(ctx context.Context) (used, limit int64, ok bool, err error)
}

// Catalog is the room that fs has its directory from.
type Catalog interface {
	Directory
	Images
	Changer
	Overlay
	Names
}

// Reader reads one image. Several goroutines may read at once; ReadAt has the
// semantics of io.ReaderAt and ends with its ctx. Close is called once.
type Reader interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// View reads as ReadAt does, without a copy where it can: p is only where the
	// bytes may be put. An error but io.EOF comes without bytes.
	View(ctx context.Context, p []byte, off int64) (Bytes, error)
	Close() error
}

// Bytes are bytes of an image that stay in place until Release, which is called once.
type Bytes interface {
	Slices() [][]byte
	Release()
}

// Engine opens readers. Open makes no request.
type Engine interface {
	Open(img image.Image) Reader
}

// Permission tells whether an image may be read. What is cached was fetched at another
// time, perhaps with other credentials.
type Permission interface {
	// MayRead asks the service, where bytes of the image could be had without it, and
	// it has not given any within the last minute. A refusal is Forbidden, or NotFound
	// for an image that is gone.
	MayRead(ctx context.Context, img image.Image) error
}

// Copies hands out whole local copies of images, which the kernel then reads
// without asking us.
type Copies interface {
	// Copy returns an open file with every byte of the image, checked against its
	// hash, or nil when there is none; it asks no service. Until release is called
	// (once or more) the copy stays, and release closes the file.
	//
	// What was handed out is never changed in place again, neither after release nor
	// by the next daemon, but for bytes that were damaged, which become again what they
	// were: it may only be removed, whole, by unlink. For a program's
	// mapping of it outlives the program's close, and nobody tells us of its end: a
	// punched hole would be zeros in there.
	Copy(img image.Image) (f *os.File, release func())
	// Directory is where the copies lie: the kernel is asked once whether it can read
	// from there.
	Directory() string
}

// DraftSpec says what a draft begins with.
type DraftSpec struct {
	Name  string // the image's name
	Entry string
	// Replaces is the image that the commit retires, and whose name, visibility,
	// tags, members and properties it carries over; nil for a new image.
	Replaces *image.Image
	// Base reads the bytes of Replaces, under what is written; nil when the draft
	// begins empty. Who makes the draft closes it, also when that fails.
	Base Reader
	// Into is our own record without data that the commit fills, nil for none. Where that has
	// gone by then, what it was known to be is carried over.
	Into *image.Image
	// Attributes are what the committed image begins with.
	Attributes image.Attributes
}

// Drafts makes drafts in staging.
type Drafts interface {
	Create(spec DraftSpec) (Draft, error)
	// BeginRename returns the journal of a rename of an image over what is there, or of one
	// that is being edited.
	// Nothing is on the disk before its first Note.
	BeginRename(spec RenameSpec) RenameJournal
}

// RenameSpec says what a rename means for entries and drafts.
type RenameSpec struct {
	From, To string
	// Gone is the id of the draft that had the entry and is unlinked, Moves of the one
	// that lies over what is renamed; "" for none.
	Gone, Moves string
}

// RenameJournal is what lets the next daemon finish a rename over what is there, should
// this one be killed in it. One goroutine uses it.
type RenameJournal interface {
	// ID tells it apart from all others.
	ID() string
	// Drafted reports whether a draft is renamed with its image, or goes.
	Drafted() bool
	// Note returns when that is on the disk.
	Note(r image.Rename) error
	// Settled says that nothing is left to do at the service.
	Settled()
	// End is called once, when the drafts are as they shall be. What is not Settled is
	// finished later.
	End() error
}

// Draft is a file being written: local bytes, over a base when an existing image
// is edited. Its methods may be called by several goroutines at once; while a
// commit reads it, those that change bytes wait, with their ctx.
type Draft interface {
	ID() string // also the id chosen for the image of its first commit
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	WriteAt(ctx context.Context, p []byte, off int64) (int, error)
	Truncate(ctx context.Context, size int64) error
	Allocate(ctx context.Context, mode uint32, off, size int64) error
	// SeekData and SeekHole are lseek(2); false when there is no such offset.
	SeekData(off int64) (int64, bool, error)
	SeekHole(off int64) (int64, bool, error)
	Sync(ctx context.Context) error
	// Accept puts bytes and attributes on the local disk, and journals that a close was
	// answered: the commit is owed until a write, or the commit, takes that back.
	Accept(ctx context.Context, a image.Attributes) error
	Size() int64
	MissesFrom(off int64) bool // a write there was refused, and nobody has written or cut it off since
	ModTime() time.Time
	Written() bool // holds bytes or a length, so that an image without data would not do
	// CheckEmpty says why no image is to be made of the draft of a new file that has no
	// bytes: the mount would not show it (image.ErrUnshown).
	CheckEmpty() error
	SetAttributes(a image.Attributes) error
	// SetSettings journals what was set of the record that the next commit makes.
	SetSettings(s image.Settings) error
	ShowsBase() bool // bytes of the image under it can show: it keeps the formats of that
	// Rename sets what the image will be called; over, where given, is what the
	// commit retires from now on, and, with inherit, whose record it carries over. draft,
	// where not "", is the draft that had the entry, and is unlinked next: should the
	// daemon end in between, the next one does it.
	Rename(name, entry string, over *image.Image, inherit bool, draft string) error
	// Removing journals that the image is about to be deleted because the entry is
	// removed, "" that it was not: should the daemon end before Unlink, the next one
	// unlinks what lay over it.
	Removing(image string) error
	Unlink() error // it will never be committed; open files go on
	Path() string
	Close() error   // leaves the journal as it is
	Discard() error // removes bytes and journal
	// Abandon keeps both: the writer was killed. What nobody misses may go after a
	// time: not where that cannot be seen for sure, or where a close was answered before.
	Abandon(why string, mayGo bool) error
	KeepFailed(err error) error // keeps both: the commit failed
}

// Committer makes an image of a draft; the zero image where there was nothing to
// commit or the draft was unlinked. ctx ends the work: then nothing of it is left
// in the service and the draft is kept.
type Committer interface {
	Commit(ctx context.Context, d Draft) (image.Image, error)
	CommitEmpty(ctx context.Context, d Draft) (image.Image, error)
	// Behind commits what was accepted, also an empty draft. It calls turn, once at
	// most, when everything is at the service and nothing shows yet: until then the
	// draft may be renamed and have attributes set, and with an error of turn nothing
	// is published. It logs no failure.
	Behind(ctx context.Context, d Draft, turn func(context.Context) error) (image.Image, error)
}

// Rooms is everything that a mount stands on.
type Rooms struct {
	Catalog    Catalog
	Engine     Engine
	Permission Permission
	Drafts     Drafts
	Committer  Committer
	Usage      Usage  // nil where nobody tells
	Copies     Copies // nil where there are none
}
