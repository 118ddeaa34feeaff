// Package commit turns a draft into an image of the Image service and never
// leaves half of one behind.
//
// # The states of a commit
//
// Each state is journaled (staging.Record.State) before the action that it
// announces:
//
//	committing  nothing is changed yet: the replaced image, its members and the
//	            formats are read; what must not be replaced and what cannot become
//	            an image is refused. Then the record is created with an id that the
//	            journal names, hidden (os_hidden) and marked with the draft
//	            (image.PropertyDraft), with everything that is carried over; owner
//	            and members follow
//	            What was set of the new record (staging.Record.Settings) is in that request,
//	            but for its protection: a protected record could not be taken back
//	created     the content is uploaded, hashed on its way; then the service's size, md5
//	            and os_hash are compared. What an edit takes over of the image under it is
//	            compared with the hash of that before the last of it is sent (edited.go). Where the local disk has failed to take what
//	            was written, what was read may be something else, and nothing is
//	            published. Beside an upload that takes long the draft is fsynced
//	uploaded    the record gets what others have changed of the replaced image during
//	            the upload; then one update unhides it, removes the mark and sets the
//	            name, the attributes and the settings that the draft has by now
//	            (Record.Given: of the settings, a commit that goes on from here brings only
//	            what was set since)
//	visible     the replaced image is looked at once more, and deleted (trash.go: or
//	            hidden for a time), or renamed where it is in use. One that somebody
//	            has renamed meanwhile is left alone
//	committed   the draft's base, its next commit and its entry are the new image
//
// So every record that is hidden and marked is named by a journal (Record.Image;
// Record.Into or Record.Replaces for one that was there before), and a crash between
// any two steps leaves a state that tells what to do: up to created, remove the record (or adopt a whole one); from
// uploaded on, go on with the next step, which does no harm when repeated.
//
// # After a crash
//
// Every commit begins with what the journal says an earlier one has left (resume in
// recover.go); Recover is the commit of a draft that an earlier process left.
//
//	Record.Image, in the state      becomes
//	not there, or in the trash      nothing: the commit begins anew, with the same id where
//	                                the record may yet come (committing)
//	being stored (saving)           what it is when the service has settled it
//	uploaded, visible, or whole     the image: published, then what it replaces retired
//	    (Record.Whole): has data
//	else: same bytes (by hash)      the image: as after the check of an upload
//	else: marked with the draft     removed; the commit begins anew
//	else: published by a commit     removed, or replaced where what it replaced is gone
//	    that failed
//	else                            left alone: it is not ours
//
// A visible one that is not there, nor what it replaced, was deleted by somebody
// since: that fails, and only a user's retry uploads it again. Where the service does
// not tell, or the draft cannot be read to compare, the journal stays as it is. So
// does an image that differs from a draft that may have lost bytes (Uncertain).
//
// # Unhide first, then retire
//
// Two records cannot change in one request. Retiring first would leave others,
// and after a crash the whole cloud, without an image of that name, and a failed
// unhide would have destroyed the original. So the new image becomes visible
// first: for the time of one request (after a crash: until recovery) others can
// see two images of the name, both whole, and never none or half of one. The
// entry is pointed to the new image (Names) after the old one is retired: until
// then the draft lies over it, and a retirement that is refused takes the new
// image back without having shown it here.
//
// A refusal to retire because the image is in use renames it to
// <name>~replaced-<8 hex digits>; any other refusal, or a refused rename, removes
// the new image. Where the service does not answer what became of the old image,
// neither is touched: the journal names the new one (StateFailed, Record.Image), and
// that it is whole (Record.Whole): of a draft over the old one the bytes to compare may
// have gone with that. The next commit goes on from there: it retires the old one where
// that still exists or, where other bytes have been written since, begins with removing
// the new one.
//
// # Failures
//
// An error of Commit means: the record that it made is removed, also when the
// caller's context was cancelled (bounded by cleanupTime); the draft is kept, its
// journal is StateFailed with a reason, and one line of the log says which image,
// why, where the bytes are and what happens next. A record that cannot be removed
// is hidden and marked again, if it showed, and stays in Record.Image: the next commit begins with it, and Withdraw removes it where
// none comes. A failed upload
// whose last byte was sent is looked at first: it may have succeeded. After a
// failure of transport a new record is tried, a few times; so is, once, an image
// whose hash differs, and an edit of one whose bytes did: they are read anew.
//
// From the unhiding on a cancellation comes too late: the rest takes two short
// requests and is done, or undone, in a bounded time.
//
// Where the daemon ends (image.ErrShutdown), the draft is not failed but owed: its
// journal is left at StateCommitting, and whoever finds it goes on.
//
// # Behind
//
// A draft whose close was answered before (staging.Accept) is owed from then on:
// Behind commits it while its entry is used, and is called again until it succeeds.
// So it asks for a turn before it publishes, lets writers go on as soon as it is
// cancelled, and leaves telling of failures to its caller.
//
// # Empty files and queued records
//
// A draft without a byte becomes a record without data (queued, no formats yet).
// One that replaces none is whole as it is created, so it is created visible; one
// that takes the place of an image (> file, truncate -s 0) goes the way of every
// replacement.
//
// A draft into a queued record (Record.Into) uploads into that record, which
// keeps its id. It is hidden and marked in the request that sets its formats, and
// unhidden at the end: so nobody sees it between a finished upload and its check,
// and a crash leaves the same picture as every other commit. After a failure it
// is put back as it was; where the failed upload has changed its status it cannot
// be filled any more, so it is removed (or, where that fails, replaced by the
// next commit), and a new record takes over its metadata.
// Anybody else may fill it just as well, before it is made ready and after, up to the
// upload: what is in there counts as the draft's only once an upload has begun and was
// not refused because of it (Record.Filling). A record that got data from elsewhere is
// left alone, and the new image is made beside it. Where the draft ends empty again, the
// record is shown with what was set since, whatever an earlier commit has left of it, and
// stays the one that the next commit fills; but where another draft's commit has marked it,
// nothing is changed. Formats that content cannot tell (ami, ari, aki, ploop) are kept.
//
// # What a caller has to know
//
// A draft may be renamed and unlinked while it is committed: the name is taken
// over by the last update, an unlinked draft's record is removed. Which image it
// replaces must not change meanwhile.
//
// # Goroutines, locks, units
//
// While a chunk is sent, one goroutine for each hash of the upload, and one for that of
// the image under an edit, computes it;
// they end with the chunk, and the body waits for them before it reads the next
// and when it is stopped. There are no others. Locks, each held for memory only and none
// while another is taken, except board.mu before progress.mu: board.mu,
// progress.mu, and body.mu, which is also held while a chunk of the draft is read
// (the body's context ends that). A draft's Snapshot is held during the whole
// commit, waits included: its writers wait so long.
//
// Sizes and offsets are bytes.
package commit
