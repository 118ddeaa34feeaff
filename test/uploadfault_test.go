package test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// uploadFaults are ways in which an upload fails, and what close answers: once, as
// when something restarts, and each time. No errno: close succeeds.
var uploadFaults = []struct {
	name         string
	fail         failure
	once, always syscall.Errno
	says         string // in the reason of the kept draft
}{
	{"400", answers(400, "Data are wrong."), syscall.EINVAL, syscall.EINVAL, "Data are wrong."},
	{"401", answers(401, ""), syscall.EACCES, syscall.EACCES, "credentials refused"},
	{"409", answers(409, "Image status transition from saving to saving is not allowed"), syscall.EBUSY, syscall.EBUSY, "status transition"},
	{"410", answers(410, "Image could not be found after upload."), syscall.ESTALE, syscall.ESTALE, "after upload"},
	{"413, over quota", answers(413, "Image exceeds the storage quota: 5 bytes remaining."), syscall.EDQUOT, syscall.EDQUOT, "storage quota"},
	{"413, over a limit", answers(413, "Project p is over a limit for image_size_total"), syscall.EDQUOT, syscall.EDQUOT, "over a limit"},
	{"413, store full", answers(413, "Image storage media is full: no space"), syscall.ENOSPC, syscall.ENOSPC, "media is full"},
	{"413, before the data", answersEarly(413, "The incoming image is too large"), syscall.ENOSPC, syscall.ENOSPC, "too large"},
	{"415", answers(415, "Image content does not match disk_format"), syscall.EINVAL, syscall.EINVAL, "does not match"},
	{"500", answers(500, ""), 0, syscall.EIO, "500"},
	{"502", answers(502, "Bad Gateway"), 0, syscall.EIO, "Bad Gateway"},
	{"503", answers(503, ""), 0, syscall.EIO, "503"},
	{"503, before the data", answersEarly(503, "Service Unavailable"), 0, syscall.EIO, "Service Unavailable"},
	{"504", answers(504, "upstream timed out"), 0, syscall.EIO, "timed out"},
	{"507", answers(507, "Insufficient Storage"), syscall.ENOSPC, syscall.ENOSPC, "Insufficient"},
	{"closes in the middle", closes, 0, syscall.EIO, "unavailable"},
	{"resets in the middle", resets, 0, syscall.EIO, "unavailable"},
	{"loses the answer", losesAnswer, 0, 0, ""},
	{"damages a byte", flips, 0, syscall.EIO, "corrupt"},
}

// TestUploadFaults: what close answers when an upload fails. Whatever that is, no
// half image and no second one is left, and what was not accepted is kept, whole,
// with the reason, and becomes an image when it is told to and the service is well.
func TestUploadFaults(t *testing.T) {
	t.Parallel() // most of the time goes by between tries
	p, s := newSpoiler(t, services[0])
	m := mountOn(t, s)
	for i, f := range uploadFaults {
		for _, each := range []bool{false, true} {
			name, want, times := f.name+", once", f.once, 1
			if each {
				name, want, times = f.name+", each time", f.always, -1
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				entry := fmt.Sprintf("upload-fault-%d-%v.img", i, each)
				p.spoil(entry, times, f.fail)
				closesWith(t, m, entry, noise(uint64(160+i), 1<<20+4711), want, f.says)
				if hit := p.mend(entry); hit == 0 {
					t.Error("no upload was spoilt")
				}
				if want != 0 {
					retries(t, m, entry, noise(uint64(160+i), 1<<20+4711))
				}
			})
		}
	}
}

// A service that takes no more and says nothing is given up after its time, and the
// upload begins anew.
func TestUploadStalls(t *testing.T) {
	t.Parallel()
	p, s := newSpoiler(t, services[0])
	m := mountOn(t, s)
	end := make(chan struct{})
	defer close(end)
	p.spoil("stalled.img", 1, stalls(end))
	begun := time.Now()
	closesWith(t, m, "stalled.img", noise(180, 32<<20), 0, "") // more than sockets hold
	if took := time.Since(begun); took < 50*time.Second || took > 2*time.Minute {
		t.Errorf("it took %v, and the time-out is 60 s", took)
	}
	p.mend("stalled.img")
}

// Refused credentials and refused rights are told at once. (A refusal of PUT alone
// is not the end: see TestImportOnly.)
func TestUploadForbidden(t *testing.T) {
	p, s := newSpoiler(t, services[0])
	m := mountOn(t, s)
	p.spoil("forbidden.img", -1, answersEarly(http.StatusForbidden, "You are not authorized to complete upload_image action."))
	closesWith(t, m, "forbidden.img", noise(181, 100_000), syscall.EACCES, "not authorized")
	p.mend("forbidden.img")
	retries(t, m, "forbidden.img", noise(181, 100_000))
}

// A service that is away for good is told as that; one that goes away while it
// takes an upload and comes back costs only time.
func TestServiceAwayAtClose(t *testing.T) {
	t.Parallel()
	g, s := newGate(t, services[0])
	m := mountOn(t, s)
	data := noise(182, 3<<20)
	cp := uploading(t, g, m, file(t, "back.img", data), "back.img")
	s.cleanName(t, "back.img")
	g.away()
	m.until("the upload to be tried again", func() bool { return strings.Contains(m.log.String(), "trying again") })
	g.letGo()
	g.back()
	if err := cp.Wait(); err != nil {
		t.Errorf("cp: %v", err)
	}
	holds(t, s.one(t, "back.img"), data)

	f, err := os.Create(m.path("away.img"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	g.away()
	if err := f.Close(); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("close: %v, want EHOSTUNREACH", err)
	}
	g.back()
	keeps(t, m, "away.img", data, "unreachable")
	retries(t, m, "away.img", data)
}

// closesWith writes a new file, checks what close answers (no errno: success), and
// what is then in the service and in staging.
func closesWith(t *testing.T, m *mount, entry string, data []byte, want syscall.Errno, says string) {
	t.Helper()
	m.service.cleanName(t, entry)
	f, err := os.Create(m.path(entry))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	err = f.Close()
	if want == 0 {
		if err != nil {
			t.Fatalf("close: %v", err)
		}
		holds(t, m.service.one(t, entry), data)
		until(t, "the draft to go", func() bool {
			for _, d := range m.snapshot().Drafts {
				if d.Name == entry {
					return false
				}
			}
			return true
		})
		return
	}
	if !errors.Is(err, want) {
		t.Errorf("close: %v, want %v", err, want)
	}
	keeps(t, m, entry, data, says)
}

// keeps checks that a file which was not accepted is no image, and that its draft
// is kept with all bytes and the reason.
func keeps(t *testing.T, m *mount, entry string, data []byte, says string) {
	t.Helper()
	if left := m.service.images(t, entry); len(left) != 0 {
		t.Errorf("the service has %v", left)
	}
	kept := m.kept(entry)
	if kept.State != "failed" || !strings.Contains(kept.Reason, says) || kept.Size != int64(len(data)) {
		t.Errorf("kept as %+v, want the reason to say %q", kept, says)
	}
	if got, err := os.ReadFile(kept.Path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the draft has %d other bytes, %v", len(got), err)
	}
}

// retries tells imagefs to upload what was kept.
func retries(t *testing.T, m *mount, entry string, data []byte) {
	t.Helper()
	kept := m.kept(entry)
	args := append([]string{"staged", "retry", "--staging-dir", m.staging}, m.service.args...)
	run(t, binary, append(args, strings.TrimSuffix(filepath.Base(kept.Path), ".data"))...)
	holds(t, m.service.one(t, entry), data)
	if _, err := os.Stat(kept.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is still there: %v", err)
	}
}
