package fs

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// fakeCopies are local copies in a directory. Their bytes are other than the
// service's, so that a reader shows whom it reads from.
type fakeCopies struct {
	t   *testing.T
	dir string

	mu   sync.Mutex // guards the fields below
	held int        // handed out and not yet released
	out  int        // handed out ever
}

// copiesOf gives the house local copies, and checks in the end that none is held and
// none was changed.
func copiesOf(t *testing.T, h *house) *fakeCopies {
	t.Helper()
	// A tmpfs lies on no other filesystem, also in a container.
	dir := must(os.MkdirTemp("/dev/shm", "imagefs-copies"))
	c := &fakeCopies{t: t, dir: dir}
	h.copies = c
	t.Cleanup(func() {
		if n := c.holds(); n != 0 {
			t.Errorf("%d copies are held in the end", n)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

// add makes a copy of an image and returns its bytes: the image's in capitals.
func (c *fakeCopies) add(img image.Image, data string) {
	c.t.Helper()
	if int64(len(data)) != img.Size {
		c.t.Fatalf("the copy has %d bytes, the image %d", len(data), img.Size)
	}
	if err := os.WriteFile(c.path(img), []byte(data), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *fakeCopies) path(img image.Image) string { return filepath.Join(c.dir, img.ID) }

// unchanged checks a copy's bytes.
func (c *fakeCopies) unchanged(img image.Image, data string) {
	c.t.Helper()
	if got := string(must(os.ReadFile(c.path(img)))); got != data {
		c.t.Errorf("the copy was changed to %.40q", got)
	}
}

// Copy opens the copy.
func (c *fakeCopies) Copy(img image.Image) (*os.File, func()) {
	f, err := os.Open(c.path(img))
	if err != nil {
		return nil, nil
	}
	c.mu.Lock()
	c.held++
	c.out++
	c.mu.Unlock()
	var once sync.Once
	return f, func() {
		once.Do(func() {
			c.mu.Lock()
			c.held--
			c.mu.Unlock()
			if err := f.Close(); err != nil {
				c.t.Error(err)
			}
		})
	}
}

// Directory is where they lie.
func (c *fakeCopies) Directory() string { return c.dir }

func (c *fakeCopies) holds() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}
