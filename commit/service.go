package commit

import (
	"context"
	"io"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// Records makes, reads and removes image records. Every method obeys its ctx
// (which ends the request, not only the waiting) and may be called by several
// goroutines at once.
type Records interface {
	// Create makes the record with the id in n. A failure may come after the
	// record was made: the answer can be lost.
	Create(ctx context.Context, n image.New) (image.Image, error)
	// Get reads one record; image.NotFound when there is none.
	Get(ctx context.Context, id string) (image.Image, error)
	// Delete removes a record and its data; image.NotFound when there is none,
	// image.Busy when it is in use.
	Delete(ctx context.Context, id string) error
}

// Changer gives a record its data and changes its fields.
type Changer interface {
	// Upload sends size bytes as the record's data. It calls body once per
	// request and has stopped reading when it returns, or reads an error from
	// then on. A failure may come after the data was accepted.
	Upload(ctx context.Context, id string, size int64, body func() io.Reader) error
	// Update applies all changes in one request or none of them; removing a
	// property that is not there is no error.
	Update(ctx context.Context, id string, changes []image.Change) (image.Image, error)
}

// Sharer reads and changes the members of an image. RemoveMember of one that is none is
// no error.
type Sharer interface {
	Members(ctx context.Context, id string) ([]image.Member, error)
	AddMember(ctx context.Context, id, project string) error
	RemoveMember(ctx context.Context, id, project string) error
}

// Service is the Image service as a commit needs it.
type Service interface {
	Records
	Changer
	Sharer
}

// Names is told what the directory has to show after a commit.
type Names interface {
	// Committed says that the entry of the draft now points to img, and that the
	// image with the id retired ("" for none) is gone from its name. It is called
	// once per successful commit, from the goroutine of that commit, after the
	// last request to the service: it must not call the Committer back.
	Committed(draft string, img image.Image, retired string)
	// Gone says that there is no image with this id any more: a commit has deleted what
	// it had made, and whoever listed meanwhile may have seen that, or has found that
	// what it was to fill or to replace is deleted. It may be one that the directory
	// does not know, and be told more than once. As Committed, it must not call the
	// Committer back.
	Gone(id string)
	// Doubt says that the directory may be wrong about an image of that name: it does not know
	// one that a commit has made and could not remove, or that it has given up to fill, and
	// that was hidden before; or shows one that a commit has left hidden. The service is to be
	// asked. It does not wait, and must not call the Committer back.
	Doubt(id, name string)
}

// Renames knows the renames over another image that the service has not answered yet.
type Renames interface {
	// FinishBefore finishes those that the image has to do with. An error is of the
	// service, or Stale: another image has its name by that.
	FinishBefore(ctx context.Context, id string) error
}

// Bases opens what lies under drafts.
type Bases interface {
	// OpenBase returns a reader of the image's bytes. The draft that it is given
	// to closes it.
	OpenBase(img image.Image) staging.Base
	// Wrong says that what readers have had of the image does not have its hash: who opens
	// it from then on gets nothing of that. It may write to the local disk, and waits for
	// nothing else; it must not call the Committer back.
	Wrong(img image.Image)
}
