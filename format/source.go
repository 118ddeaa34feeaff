package format

import (
	"errors"
	"io"
)

// source is the content under inspection: size bytes of r.
type source struct {
	r    io.ReaderAt
	size int64 // bytes
}

// at returns up to n bytes from off. Fewer come back where the content ends,
// none where it ends before off: every caller checks the length it got, so that
// a truncated file is an ordinary case. n is a constant of the caller or bounded
// by one, never taken from the content as it is.
func (s source) at(off int64, n int) ([]byte, error) {
	if off < 0 || off >= s.size || n <= 0 {
		return nil, nil
	}
	if left := s.size - off; int64(n) > left {
		n = int(left)
	}
	p := make([]byte, n)
	got, err := s.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return p[:got], nil
}
