package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"

	"github.com/imagefs/imagefs/image"
)

// identity tells images apart: a record whose size differs has other bytes, even
// where the service repeats a key.
type identity struct {
	key  image.Key
	size int64 // bytes
}

// Suffixes of the two files of an image. Nothing in the directory is touched that
// ends in neither, or has another name before it than fileName gives.
const (
	dataSuffix  = ".data"
	indexSuffix = ".index"
)

// plainID is what an image id looks like that may be part of a file name. The id
// comes from the service, which could send anything.
var plainID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// ourName is what fileName returns.
var ourName = regexp.MustCompile(`^(image|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})-[0-9a-f]{16}$`)

// nameHash, in hex digits, is how much of the identity's hash is in a file name:
// 64 bits, so that two identities never meet in one directory; if they did, the
// header would tell.
const nameHash = 16

// fileName returns the name of the image's files without their suffix: the id, so
// that an operator finds it, and a hash of everything that makes up the identity.
func fileName(id identity) string {
	text := ""
	for _, part := range []string{id.key.Service, id.key.ID, id.key.Version, strconv.FormatInt(id.size, 10)} {
		text += strconv.Itoa(len(part)) + ":" + part
	}
	sum := sha256.Sum256([]byte(text))
	name := "image"
	if plainID.MatchString(id.key.ID) {
		name = id.key.ID
	}
	return name + "-" + hex.EncodeToString(sum[:])[:nameHash]
}
