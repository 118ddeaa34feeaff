package disk

import (
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

func sampleHeader() *header {
	return &header{
		BlockSize: 128 << 10, Service: service, ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", Version: "sha512:ab", Size: 1 << 40,
		Hash: image.Digest{Algorithm: "sha512", Value: "ab"}, Verified: &verified{Inode: 1<<64 - 1, Modified: 3, Changed: -4}, Whole: true,
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(0, 3000, 5000))
		h := &header{
			BlockSize: rapid.Int64Min(1).Draw(t, "block"), Size: rapid.Int64Min(1).Draw(t, "size"),
			Service: text.Draw(t, "service"), ID: text.Draw(t, "id"), Version: text.Draw(t, "version"),
			Hash: image.Digest{Algorithm: text.Draw(t, "algorithm"), Value: text.Draw(t, "value")}, Whole: rapid.Bool().Draw(t, "whole"),
		}
		if rapid.Bool().Draw(t, "verified") {
			h.Verified = &verified{rapid.Uint64().Draw(t, "inode"), rapid.Int64().Draw(t, "mtime"), rapid.Int64().Draw(t, "ctime")}
		}
		p, err := h.encode()
		if errors.Is(err, errTooLong) {
			return
		}
		must(t, err)
		got, err := decode(p)
		must(t, err)
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("%+v, want %+v", got, h)
		}
	})
}

func TestHeaderThatDoesNotFit(t *testing.T) {
	for name, change := range map[string]func(*header){
		"long":      func(h *header) { h.ID = strings.Repeat("a", maxText) },
		"no UTF-8":  func(h *header) { h.Version = "\xff" },
		"escapes":   func(h *header) { h.Service = strings.Repeat("\x00", maxText/6+1) },
		"long hash": func(h *header) { h.Hash.Value = strings.Repeat("a", maxText) },
	} {
		h := sampleHeader()
		change(h)
		if _, err := h.encode(); !errors.Is(err, errTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is left of a header that was cut off is damaged, and not of a version that we do
// not know: else it would be kept for good.
func TestHeaderCutOff(t *testing.T) {
	whole, err := sampleHeader().encode()
	must(t, err)
	for n := range len(whole) {
		p := make([]byte, headerSize)
		copy(p, whole[:n])
		var unknown versionError
		if _, err := decode(p); err == nil || errors.As(err, &unknown) {
			t.Fatalf("of the first %d bytes: %v", n, err)
		}
	}
}

// Every single flipped bit of a header shows.
func TestHeaderDamage(t *testing.T) {
	good, err := sampleHeader().encode()
	must(t, err)
	for bit := range len(good) * 8 {
		good[bit/8] ^= 1 << (bit % 8)
		if _, err := decode(good); err == nil {
			t.Errorf("bit %d flipped: accepted", bit)
		}
		good[bit/8] ^= 1 << (bit % 8)
	}
	for n := range headerSize {
		if _, err := decode(good[:n]); err == nil {
			t.Errorf("cut at %d: accepted", n)
		}
	}
}

// seal makes the checksum of a header right.
func seal(p []byte) []byte {
	binary.LittleEndian.PutUint32(p[sumAt:], checksum(p[:sumAt]))
	return p
}

func TestHeaderContent(t *testing.T) {
	for name, change := range map[string]func(p []byte){
		"other version":  func(p []byte) { p[len(magic)]++ },
		"huge length":    func(p []byte) { binary.LittleEndian.PutUint32(p[len(magic)+4:], 1<<31) },
		"length past it": func(p []byte) { binary.LittleEndian.PutUint32(p[len(magic)+4:], uint32(maxText+1)) },
		"no text":        func(p []byte) { binary.LittleEndian.PutUint32(p[len(magic)+4:], 0) },
		"no JSON":        func(p []byte) { p[textAt] = '[' },
		"unknown field":  func(p []byte) { copy(p[textAt:], `{"blocks_size":`) },
		"no size":        func(p []byte) { copy(p[textAt:], `{}        `) },
		"negative block": func(p []byte) { copy(p[textAt:], `{"block_size":-3,"size":1}`) },
	} {
		p, err := sampleHeader().encode()
		must(t, err)
		change(p)
		if h, err := decode(seal(p)); err == nil {
			t.Errorf("%s: accepted as %+v", name, h)
		}
	}
}

// Whatever an index holds, decoding it ends, and what it accepts can be written.
func FuzzHeader(f *testing.F) {
	good, err := sampleHeader().encode()
	must(f, err)
	f.Add(good, false)
	f.Add(good[textAt:], true)
	f.Add([]byte(`{"block_size":4096,"size":1}`), true)
	f.Add([]byte(`{"block_size":4096,"size":1,"id":"\ud800"}`), true)
	f.Fuzz(func(t *testing.T, data []byte, text bool) {
		p := make([]byte, headerSize)
		if text { // behind a right prologue, so that the fuzzer gets to the JSON
			copy(p, magic)
			binary.LittleEndian.PutUint32(p[len(magic):], formatVersion)
			n := copy(p[textAt:sumAt], data)
			binary.LittleEndian.PutUint32(p[len(magic)+4:], uint32(n))
		} else {
			copy(p, data)
		}
		h, err := decode(seal(p))
		if err != nil {
			return
		}
		again, err := h.encode()
		if errors.Is(err, errTooLong) {
			return // it had less escaped than we do
		}
		must(t, err)
		got, err := decode(again)
		must(t, err)
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("%+v became %+v", h, got)
		}
	})
}
