package imageserver

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/image"
)

// seedTies is how many seeded images share a created_at, as images do that a script
// makes: times have whole seconds.
const seedTies = 7

// Seed puts records of count images into the directory of a server that does not run,
// as a cloud has them that a pipeline fills: active, with hashes, times and three
// properties. A number gives the same record each time. There are no bytes behind them,
// and nothing is synced: it is for tests and benchmarks of very many images.
func Seed(dir string, count int) error {
	d, err := openDisk(dir, false)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(2 * runtime.GOMAXPROCS(0)) // it encodes and waits for the disk, in turn
	for i := range count {
		group.Go(func() error {
			r, err := seeded(i)
			if err != nil {
				return err
			}
			text, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("write record of %s: %w", r.ID, err)
			}
			return os.WriteFile(d.path(dirRecords, recordName(r.ID)), text, 0o600)
		})
	}
	return errors.Join(group.Wait(), d.close())
}

// seeded is the record of one number.
func seeded(i int) (*record, error) {
	random := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)})
	id, err := uuid.NewRandomFromReader(random)
	if err != nil {
		return nil, err
	}
	digest := func(bytes int) *string {
		sum := make([]byte, bytes)
		_, _ = random.Read(sum) // it never fails
		text := hex.EncodeToString(sum)
		return &text
	}
	text := func(s string) *string { return &s }
	formats := []string{"qcow2", "qcow2", "raw"}
	size := int64(random.Uint64() >> 30) // up to 16 GiB
	disk := size << 1
	created := time.Date(2024, time.January, 1, 0, 0, i/seedTies, 0, time.UTC)
	return &record{
		ID: id.String(), Name: text(fmt.Sprintf("debian-12-server-amd64-%06d", i)),
		Status: image.StatusActive, Visibility: image.VisibilityShared, Owner: text(defaultProject),
		DiskFormat: &formats[i%len(formats)], ContainerFormat: text("bare"),
		Size: &size, VirtualSize: &disk, Checksum: digest(16), HashAlgo: text("sha512"), HashValue: digest(64),
		MinDisk: 10,
		Properties: map[string]*string{
			"os_distro": text("debian"), "hw_qemu_guest_agent": text("yes"), "pipeline_build_number": text(fmt.Sprintf("nightly-build-%08d", i)),
		},
		CreatedAt: created, UpdatedAt: created.Add(4 * time.Second),
	}, nil
}
