// Package catalog is what the directory shows: the only owner of entries. It
// turns the names of images into entries and back, decides which image has
// which entry, lists, looks up one name without listing the cloud, and lays
// drafts over the images.
//
// # What is known, and since when
//
// Everything known of the service lives in one directory (directory.go; its records
// are packed, record.go, and found by tables of its own, table.go and line.go): either
// a complete listing, or only the groups (all images of one base entry) that
// lookups asked for. Each piece of knowledge has the time at which its request
// began, so that its age is never understated, and a sequence number. A request
// that began before one of our own changes cannot undo that change: what it
// brings of images changed since is put aside (own.go). What two requests bring of
// one image is decided by which began later, and by the record's own time (learn.go).
//
// A refresh (refresh.go) is a pass over the whole listing, which changes the directory
// in place (pass.go), or a delta: what was changed since the last one (delta.go). When
// which is due is pure arithmetic (pace.go). What readers see is a stream while the
// first pass goes on (stream.go), then a snapshot (snapshot.go). What a pass may have
// missed is asked for before it goes (unseen.go).
//
// # Renames over another image
//
// Each is several requests (takeover.go). The image takes the place just before the one
// that it replaces, so that it has the name while both are there. What ends a rename that
// was not answered is FinishRename (finish.go), told by its journal, or whatever comes to
// change the image next (unfinished.go).
//
// # Goroutines
//
// New starts one goroutine, which calls OnChange. A pass, a delta and each request
// of a lookup run in a goroutine of their own, under the catalog's
// context and a bound of their own; callers only wait for them, each with its
// own context. So does, and nobody waits for it, what looks for images that a lookup has
// not found any more (moved.go). Close ends and awaits all of them. A rename over a shared image changes
// its members in up to eight goroutines, and awaits them.
//
// # Locks
//
// Catalog.mu guards all state and is never held while the service is asked or
// OnChange is called. The notifier's lock is taken inside it and takes none.
// Changes of one image are put in order by a semaphore per image (serial.go),
// taken before Catalog.mu and waited for with the caller's context. So are renames of one
// image, and what finishes those over others, whose semaphore is taken before that.
//
// Units: lengths are bytes of UTF-8 unless they say characters.
package catalog
