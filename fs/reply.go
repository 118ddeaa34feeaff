package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
)

// reply hands bytes to the kernel from where they are: go-fuse writes its slices in
// one system call and then calls Done.
type reply struct{ of Bytes }

var _ fuse.ReadResult = reply{}

// Size is the number of bytes.
func (r reply) Size() int {
	n := 0
	for _, part := range r.of.Slices() {
		n += len(part)
	}
	return n
}

// Slices returns the bytes in parts. go-fuse looks for this method.
func (r reply) Slices() ([][]byte, fuse.Status) { return r.of.Slices(), fuse.OK }

// Bytes returns the bytes in one piece, in buf.
func (r reply) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, part := range r.of.Slices() {
		buf = append(buf, part...)
	}
	return buf, fuse.OK
}

// Done gives the bytes up.
func (r reply) Done() { r.of.Release() }

// copied are bytes that a read has put where it was told.
type copied []byte

// Slices returns the bytes.
func (c copied) Slices() [][]byte { return [][]byte{c} }

// Release does nothing: the memory is the caller's.
func (copied) Release() {}
