package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unit is the block size of the tests, the smallest there is: so that they are
// quick, and many blocks fit.
const unit = chargeUnit

const service = "http://glance.test"

// tester is what *testing.T, *testing.B and *rapid.T have in common here.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// picture is an image of the tests with its bytes.
type picture struct {
	img   image.Image
	bytes []byte
}

// draw makes an image of size random bytes that has its sha256. n tells images
// apart.
func draw(n byte, size int64) picture {
	p := picture{bytes: make([]byte, size)}
	_, _ = rand.NewChaCha8([32]byte{n}).Read(p.bytes) // never fails
	sum := sha256.Sum256(p.bytes)
	p.img = image.Image{
		ID: "3fa85f64-5717-4562-b3fc-2c963f66af" + hex.EncodeToString([]byte{n}), Size: size,
		HashAlgo: "sha256", HashValue: hex.EncodeToString(sum[:]),
	}
	return p
}

func (p picture) key() image.Key { return p.img.Key(service) }

func (p picture) blocks() int64 { return (p.img.Size + unit - 1) / unit }

func (p picture) block(index int64) []byte {
	return p.bytes[index*unit : min(p.img.Size, (index+1)*unit)]
}

func (p picture) name() string { return fileName(identity{p.key(), p.img.Size}) }

// in opens a reference; the caller closes it.
func (p picture) in(s *Store) *Image { return s.Image(p.key(), p.img) }

// write writes the blocks [first, end).
func (p picture) write(i *Image, first, end int64) {
	for index := first; index < end; index++ {
		i.Write(index, p.block(index))
	}
}

// read returns how many of the blocks are there, and fails when one has other
// bytes than the image, or Has does not say what Read finds.
func (p picture) read(t tester, i *Image) (found int64) {
	t.Helper()
	for index := range p.blocks() {
		buf := make([]byte, len(p.block(index)))
		has := i.Has(index)
		got := i.Read(index, buf)
		if got && !has && !i.Has(index) { // others may have written it meanwhile
			t.Errorf("block %d can be read but is not there", index)
		}
		if got && !bytes.Equal(buf, p.block(index)) {
			t.Fatalf("block %d of %s has wrong bytes", index, p.img.ID)
		}
		if got {
			found++
		}
	}
	return found
}

// want fails unless exactly n blocks of the image are there.
func (p picture) want(t tester, i *Image, n int64) {
	t.Helper()
	if got := p.read(t, i); got != n {
		t.Fatalf("%d blocks of %s are there, want %d", got, p.img.ID, n)
	}
}

// fakeDisk stands for the kernel where a test wants it to fail. Its hooks run
// before the real steps, without its lock; they are set before the store is used.
type fakeDisk struct {
	write func(f *os.File, p []byte, off int64) error
	punch func(f *os.File, off, n int64) error
	sync  func() error

	mu    sync.Mutex // guards the fields below
	now   time.Time
	avail int64
	total int64 // 0: the real ones
}

func newFakeDisk() *fakeDisk {
	return &fakeDisk{now: time.Unix(1_800_000_000, 0), avail: 1 << 40, total: 1 << 40}
}

func (d *fakeDisk) system() system {
	real := realSystem()
	return system{
		now: func() time.Time {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.now
		},
		write: func(f *os.File, p []byte, off int64) error {
			if d.write != nil {
				if err := d.write(f, p, off); err != nil {
					return err
				}
			}
			return real.write(f, p, off)
		},
		punch: func(f *os.File, off, n int64) error {
			if d.punch != nil {
				if err := d.punch(f, off, n); err != nil {
					return err
				}
			}
			return real.punch(f, off, n)
		},
		sync: func(*os.File) error { // no test turns the power off
			if d.sync != nil {
				return d.sync()
			}
			return nil
		},
		free: func(f *os.File) (int64, int64, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.total == 0 {
				return real.free(f)
			}
			return d.avail, d.total, nil
		},
	}
}

// pass lets time go by.
func (d *fakeDisk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// setFree sets the free bytes of a filesystem of a mebibyte.
func (d *fakeDisk) setFree(avail int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.avail, d.total = avail, 1<<20
}

// journal collects what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// count returns how many lines hold text.
func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// options of a store that has room.
func options(dir string) Options { return Options{Dir: dir, Limit: 64 << 20, BlockSize: unit} }

// openStore opens a store that is closed at the end of the test, if not before.
func openStore(t *testing.T, o Options, d *fakeDisk) *Store {
	t.Helper()
	sys := realSystem()
	if d != nil {
		sys = d.system()
	}
	s, err := open(o, sys)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// settle waits until nothing is left to verify. It polls: the verdict is on the
// disk, and nothing tells of it.
func settle(t tester, s *Store) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if s.Stats().Queued == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("still verifying")
		}
	}
}

// path returns the path of the data file or the index of an image.
func path(o Options, p picture, suffix string) string {
	return filepath.Join(o.Dir, p.name()+suffix)
}

// flip changes the byte at off of a file.
func flip(t tester, file string, off int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	must(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b, off)
	must(t, errors.Join(err, f.Close()))
}

// stored returns the bytes that all files of the directory take on the disk.
func stored(t tester, dir string) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		must(t, err)
		st, err := stat(f)
		must(t, errors.Join(err, f.Close()))
		n += st.Blocks * 512
	}
	return n
}
