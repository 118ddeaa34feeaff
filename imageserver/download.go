package imageserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// sendChunk is how many bytes go out under one deadline. sendfile carries each,
// so that small ones would cost system calls: 1 MiB a minute is slower than any
// line that an image is worth sending over.
const sendChunk = 1 << 20

// download answers GET of an image's bytes.
func (s *Server) download(w http.ResponseWriter, r *request, id string) error {
	rec, err := s.index.visible(id, r.caller)
	if err != nil {
		return err
	}
	if rec.Status == image.StatusDeactivated && !r.caller.admin {
		return refuse(http.StatusForbidden, "The requested image has been deactivated. Image data download is forbidden.")
	}
	ranged := len(r.Header["Range"]) > 0
	if !rec.hasData() {
		if ranged && rec.Size == nil { // Glance trips over it
			return &problem{status: http.StatusInternalServerError, text: "The server has either erred or is incapable of performing the requested operation.", close: true}
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	span, status := image.Span{Len: *rec.Size}, http.StatusOK
	if ranged {
		if span, err = parseRange(strings.Join(r.Header["Range"], ","), *rec.Size); err != nil {
			return err
		}
		if s.opt.NoRanges {
			return refuse(http.StatusBadRequest, "Getting images randomly from this store is not supported. Offset: %d, length: %d", span.Off, span.Len)
		}
		status = http.StatusPartialContent
	}
	f, err := s.disk.data(id)
	if errors.Is(err, fs.ErrNotExist) { // lost from the store, or deleted just now
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return fmt.Errorf("open data of %s: %w", id, err)
	}
	defer f.Close() // only read
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(span.Len, 10))
	if rec.Checksum != nil {
		h.Set("Content-Md5", *rec.Checksum)
	}
	if status == http.StatusPartialContent {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", span.Off, span.End()-1, *rec.Size))
	}
	w.WriteHeader(status)
	return s.send(w, r, f, span)
}

// send writes the span of f. The length is promised by now: where it cannot be
// kept the connection ends, so that nobody takes the part for the whole.
func (s *Server) send(w http.ResponseWriter, r *request, f *os.File, span image.Span) error {
	if _, err := f.Seek(span.Off, io.SeekStart); err != nil {
		s.log.Error("cannot read data, the download is cut off", "image", f.Name(), "request", r.id, "err", err)
		return gone(err)
	}
	for left := span.Len; left > 0; {
		s.expect(w)
		n, err := io.CopyN(w, f, min(left, sendChunk))
		left -= n
		if err == nil {
			continue
		}
		if r.Context().Err() == nil {
			s.log.Error("download cut off", "file", f.Name(), "request", r.id, "missing", left, "err", err)
		}
		return gone(err)
	}
	return nil
}
