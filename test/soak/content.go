package main

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
)

// fill makes the bytes at off of the content that a seed stands for: those of any part
// can be told without the rest.
func fill(p []byte, seed uint64, off int64) {
	var word [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], mix(seed+uint64(off/8)))
		n := copy(p, word[off%8:])
		p, off = p[n:], off+int64(n)
	}
}

// mix is the finalizer of splitmix64: neighbouring numbers become unlike ones.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// content is all of it.
func content(seed uint64, size int) []byte {
	p := make([]byte, size)
	fill(p, seed, 0)
	return p
}

// firstDifference is the first offset at which two pieces differ, or -1.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

func hashOf(p []byte) string {
	sum := sha512.Sum512(p)
	return hex.EncodeToString(sum[:])
}
