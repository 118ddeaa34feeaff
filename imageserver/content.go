package imageserver

import (
	"context"
	"crypto/md5" // the checksum of the API
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
)

const (
	// copyChunk is how many bytes are read, written and hashed at a time: large
	// enough that handing it to three workers costs nothing beside hashing it.
	copyChunk = 1 << 20
	// smallChunk is below what handing over pays.
	smallChunk = 64 << 10
	// headBytes of a body are kept to find the virtual size: the volume
	// descriptor of an ISO ends at 34 KiB.
	headBytes = 64 << 10
)

// errBody is the cause when a request's body ended early or stalled.
var errBody = errors.New("request body")

// content is what the service knows of an image's bytes.
type content struct {
	size        int64
	md5, sha512 hash.Hash
	head        []byte // the first headBytes
}

func newContent() *content {
	return &content{md5: md5.New(), sha512: sha512.New()}
}

// store writes the next bytes and takes them in; the two hashes and the write
// run side by side.
func (c *content) store(to io.Writer, p []byte) error {
	c.size += int64(len(p))
	if room := headBytes - len(c.head); room > 0 {
		c.head = append(c.head, p[:min(room, len(p))]...)
	}
	if len(p) <= smallChunk {
		c.md5.Write(p)
		c.sha512.Write(p)
		_, err := to.Write(p)
		return err
	}
	var hashes sync.WaitGroup
	hashes.Go(func() { c.md5.Write(p) })
	hashes.Go(func() { c.sha512.Write(p) })
	_, err := to.Write(p)
	hashes.Wait()
	return err
}

// describe writes what is known into a record.
func (c *content) describe(r *record) {
	checksum, value, algorithm := hex.EncodeToString(c.md5.Sum(nil)), hex.EncodeToString(c.sha512.Sum(nil)), hashAlgorithm
	size := c.size
	r.Size, r.Checksum, r.HashAlgo, r.HashValue = &size, &checksum, &algorithm, &value
	r.VirtualSize = nil
	if r.DiskFormat != nil && r.ContainerFormat != nil && *r.ContainerFormat == "bare" {
		r.VirtualSize = virtualSize(*r.DiskFormat, c.head, c.size)
	}
}

// receiveInto moves a body into a file and learns its content. More than the
// limit is a problem; an error of the body itself is an errBody.
func receiveInto(to io.Writer, body io.Reader, most limit) (*content, error) {
	c := newContent()
	p := make([]byte, smallChunk)
	for {
		n, err := fill(body, p)
		if most.bytes >= 0 && c.size+int64(n) > most.bytes {
			return nil, refuse(http.StatusRequestEntityTooLarge, "%s", most.text)
		}
		if werr := c.store(to, p[:n]); werr != nil {
			return nil, werr
		}
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errBody, err)
		}
		if len(p) < copyChunk { // a small image needs no large buffer
			p = make([]byte, copyChunk)
		}
	}
}

// fill reads until p is full or the reader ends, and keeps io.EOF apart from the
// io.ErrUnexpectedEOF of a body that is shorter than announced (io.ReadFull does
// not).
func fill(from io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = from.Read(p[n:])
		n += k
	}
	return n, err
}

// cancelReader ends with the context's error once it is cancelled.
type cancelReader struct {
	ctx context.Context
	io.Reader
}

func (r *cancelReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
