// Package cachetest is what the tests of the cache and of the read-ahead have in common: the
// bytes of images, and a disk cache that damages what it has or does not answer.
package cachetest

import (
	"math/rand/v2"
	"sync"
)

// pattern is random bytes of a prime length, so that no two blocks of an image
// begin at the same place of it.
var pattern = sync.OnceValue(func() []byte {
	p := make([]byte, 1048573)
	r := rand.NewChaCha8([32]byte{1})
	if _, err := r.Read(p); err != nil { // never fails
		panic(err)
	}
	return p
})

// Content returns the bytes [off, off+n) of the image with the given id.
func Content(id string, off, n int64) []byte {
	for _, c := range []byte(id) {
		off += int64(c) * 7919
	}
	out := make([]byte, n)
	from := pattern()[off%int64(len(pattern())):]
	for at := 0; at < len(out); from = pattern() {
		at += copy(out[at:], from)
	}
	return out
}
