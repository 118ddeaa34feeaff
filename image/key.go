package image

import (
	"strconv"
	"time"
)

// Key names the bytes of one image for ever: data of an active image never
// changes for an id, and the version separates what a service could serve under
// a reused or rewritten record. It is comparable and may be used as a map key.
type Key struct {
	Service string // canonical URL of the Image API
	ID      string // image id
	Version string // hash, or created_at and size where the service has no hash
}

// Key returns the key of the image's bytes on the named service. Images without
// any hash (rbd snapshots, http locations) are told apart by created_at and size.
func (i Image) Key(service string) Key {
	k := Key{Service: service, ID: i.ID}
	switch {
	case i.HashValue != "":
		k.Version = i.HashAlgo + ":" + i.HashValue
	case i.Checksum != "":
		k.Version = "md5:" + i.Checksum
	default:
		k.Version = i.CreatedAt.UTC().Format(time.RFC3339) + "/" + strconv.FormatInt(i.Size, 10)
	}
	return k
}

// Span is the byte interval [Off, Off+Len) of one image.
type Span struct {
	Off int64 // bytes from the start of the image
	Len int64 // bytes
}

// End is the offset of the first byte after the span.
func (s Span) End() int64 { return s.Off + s.Len }

// Clip returns the part of s that lies inside an image of size bytes.
func (s Span) Clip(size int64) Span {
	if s.Off >= size || s.Len <= 0 {
		return Span{Off: min(s.Off, size)}
	}
	return Span{Off: s.Off, Len: min(s.Len, size-s.Off)}
}
