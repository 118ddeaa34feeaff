package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

// headerSize, in bytes, is what the header takes at the start of an index: one
// page of memory and of every filesystem, so that a write of it is torn by a power
// loss at worst.
const headerSize = 4096

// The fields of a header: magic, format version and length of the JSON text, which
// follows; the CRC32C of all bytes before it is in the last four. Integers are
// little-endian. Magic and version stay where they are in every later format, and so
// does the name of the index, so that this program knows what it has to leave alone.
const (
	magic         = "imgblks\n"
	formatVersion = 1
	textAt        = len(magic) + 4 + 4
	sumAt         = headerSize - 4
	maxText       = sumAt - textAt
)

// castagnoli is the polynomial of CRC32C, for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// header describes one image's files.
type header struct {
	BlockSize int64        `json:"block_size"` // bytes
	Service   string       `json:"service"`
	ID        string       `json:"id"`
	Version   string       `json:"version"`
	Size      int64        `json:"size"` // bytes
	Hash      image.Digest `json:"hash"` // what the whole image must have
	Verified  *verified    `json:"verified,omitempty"`
	// Whole: the data file was handed out for passthrough once. Mappings of it
	// may outlive this process, and would see a hole as zeros: it is removed but
	// never punched.
	Whole bool `json:"whole,omitempty"`
}

// verified is the data file as it was when the whole image had its hash. Whatever
// changes the file afterwards changes this.
type verified struct {
	Inode    uint64 `json:"inode"`
	Modified int64  `json:"modified"` // mtime, nanoseconds since 1970
	Changed  int64  `json:"changed"`  // ctime, nanoseconds since 1970
}

func (h *header) identity() identity {
	return identity{key: image.Key{Service: h.Service, ID: h.ID, Version: h.Version}, size: h.Size}
}

// versionError is an index of a format version that this program does not know.
type versionError uint32

func (v versionError) Error() string {
	return fmt.Sprintf("it has format version %d, this imagefs knows version %d", uint32(v), formatVersion)
}

var errTooLong = errors.New("the image's key does not fit into a header")

// encode returns the headerSize bytes of the header; an error when the key is too
// long or is no UTF-8.
func (h *header) encode() ([]byte, error) {
	for _, s := range []string{h.Service, h.ID, h.Version, h.Hash.Algorithm, h.Hash.Value} {
		if !utf8.ValidString(s) {
			return nil, errTooLong
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(text) > maxText {
		return nil, errTooLong
	}
	p := make([]byte, headerSize)
	copy(p, magic)
	binary.LittleEndian.PutUint32(p[len(magic):], formatVersion)
	binary.LittleEndian.PutUint32(p[len(magic)+4:], uint32(len(text)))
	copy(p[textAt:], text)
	binary.LittleEndian.PutUint32(p[sumAt:], checksum(p[:sumAt]))
	return p, nil
}

// decode parses a header. Any damage is an error; of a versionError nothing but the
// version is known.
func decode(p []byte) (*header, error) {
	if len(p) != headerSize || string(p[:len(magic)]) != magic {
		return nil, errors.New("not an index of cached blocks")
	}
	switch v := binary.LittleEndian.Uint32(p[len(magic):]); {
	case v == 0: // there never was one: it has been cut off
		return nil, errors.New("the header is damaged")
	case v != formatVersion:
		return nil, versionError(v)
	}
	if binary.LittleEndian.Uint32(p[sumAt:]) != checksum(p[:sumAt]) {
		return nil, errors.New("the header is damaged")
	}
	n := binary.LittleEndian.Uint32(p[len(magic)+4:])
	if n > uint32(maxText) {
		return nil, errors.New("the header is longer than it can be")
	}
	h := &header{}
	d := json.NewDecoder(bytes.NewReader(p[textAt : textAt+int(n)]))
	d.DisallowUnknownFields()
	if err := d.Decode(h); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	if h.BlockSize <= 0 || h.Size <= 0 {
		return nil, errors.New("the header has impossible sizes")
	}
	return h, nil
}
