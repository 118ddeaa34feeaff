package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
)

// group is a part of the table.
type group struct {
	name string
	rows []row
}

// row is one operation.
type row struct {
	operation string
	does      string        // what imagefs does
	errno     syscall.Errno // what it gives; 0: it succeeds
	// run does it, and looks at what has come of it. Its error is the operation's, or
	// says what is wrong.
	run func(p place) error
}

// table is all of them. It is that of docs/RELIABILITY.md, in this order.
var table = []group{names, directories, opening, bytesOf, space, attributes, xattrs, locks, others}

// place is what a row may use: it has files of its own.
type place struct {
	dir     string // the mountpoint
	image   string // the path of an image with content
	other   string // the path of another one, with more content
	fresh   string // a path where nothing is
	service *daemon.Service
}

const page = 4096 // bytes, of the kernel's cache

// content is what the image of a row has.
func content() []byte { return pattern(3*page + 17) }

// more is what its other image has.
func more() []byte { return pattern(5 * page) }

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i%251) + 1
	}
	return p
}

func TestTable(t *testing.T) {
	root := t.TempDir()
	s := daemon.Serve(t, filepath.Join(root, "served"))
	places := map[string]place{}
	at := filepath.Join(root, "mnt")
	for g, group := range table {
		for r, row := range group.rows {
			if _, twice := places[row.operation]; twice {
				t.Fatalf("two rows are called %q", row.operation)
			}
			id := fmt.Sprintf("%d-%d", g, r)
			p := place{dir: at, service: s, fresh: filepath.Join(at, "fresh-"+id), image: filepath.Join(at, "image-"+id), other: filepath.Join(at, "other-"+id)}
			for path, data := range map[string][]byte{p.image: content(), p.other: more()} {
				if _, err := s.Upload(t.Context(), image.New{Name: filepath.Base(path)}, data); err != nil {
					t.Fatal(err)
				}
			}
			places[row.operation] = p
		}
	}
	d, err := daemon.New(binary, root, "--endpoint", s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(d.Settled(0), d.Unmount()); err != nil {
			t.Error(err, d.Kill())
		}
		if t.Failed() {
			t.Logf("the daemon's log ends so:\n%s", d.Tail())
		}
	}()
	for _, group := range table {
		for _, row := range group.rows {
			t.Run(group.name+"/"+row.operation, func(t *testing.T) {
				err := row.run(places[row.operation])
				switch {
				case row.errno == 0 && err != nil:
					t.Error(err)
				case row.errno != 0 && !errors.Is(err, row.errno):
					t.Errorf("it ended with %v, want %v", err, row.errno)
				}
				if _, err := os.Stat(at); err != nil {
					t.Fatalf("the mount is not right any more: %v", err)
				}
			})
		}
	}
}

// wrong is an error about what has come of an operation, nil if it is as it must be.
func wrong(is bool, format string, args ...any) error {
	if !is {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// has checks what a file has.
func has(path string, want []byte) error {
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := daemon.FirstDifference(got, want)
	return wrong(at >= 0, "%s has %d bytes, want %d; they differ at %d", filepath.Base(path), len(got), len(want), at)
}

// missing checks that there is no such file.
func missing(path string) error {
	_, err := os.Lstat(path)
	return wrong(!errors.Is(err, os.ErrNotExist), "%s is there, or %v", filepath.Base(path), err)
}

// id is the image of a file.
func id(path string) (string, error) {
	p := make([]byte, 64)
	n, err := syscall.Getxattr(path, "user.image.id", p)
	return string(p[:max(n, 0)]), err
}

// stored checks that the service has an image of a file, with as many bytes.
func (p place) stored(path string, want []byte) error {
	img, err := p.record(path)
	if err != nil {
		return err
	}
	return wrong(img == nil || img.Size != int64(len(want)), "the service has %+v, want %d bytes", img, len(want))
}

// unknown checks that the service has no image of a file.
func (p place) unknown(path string) error {
	img, err := p.record(path)
	return errors.Join(err, wrong(img != nil, "the service has %+v", img))
}

// record is the image of a file in the service, also a hidden one; nil if there is none.
func (p place) record(path string) (*image.Image, error) {
	all, err := p.service.Images(context.Background())
	if err != nil {
		return nil, err
	}
	for _, img := range all {
		if img.Name == filepath.Base(path) {
			return &img, nil
		}
	}
	return nil, nil
}

// with opens a file, does something, and closes it, which must succeed.
func with(path string, flags int, do func(fd int) error) error {
	fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(do(fd), syscall.Close(fd))
}
