package churn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// names is how many each worker has: few, so that one is made again soon.
const names = 2

// worker does all in turn to a file of its own, and then to another.
type worker struct {
	mountpoint string
	api        *client.Client // of the service itself
	random     *rand.Rand
	files      [names]file

	removals int
	failures map[syscall.Errno]int
	wrong    []mistake
}

// mistake is what the mount has done wrong with a file.
type mistake struct{ name, what string }

// logged is how the daemon's log has the time.
const logged = "15:04:05.000Z"

// file is a name, and what is known of it.
type file struct {
	name string
	// data was accepted, and nothing has failed since; nil: it is not known what is there.
	data []byte
}

func newWorker(number int, mountpoint string, api *client.Client) *worker {
	w := &worker{mountpoint: mountpoint, api: api, random: rand.New(rand.NewPCG(*seed, uint64(number))), failures: map[syscall.Errno]int{}}
	for i := range w.files {
		w.files[i].name = fmt.Sprintf("churn-%d-%d", number, i)
	}
	return w
}

func (w *worker) work(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		f := &w.files[i%names]
		w.empty(f)
		if w.random.IntN(2) == 0 {
			w.read(f)
		}
		for range 1 + w.random.IntN(2) { // qemu-img opens what it has made several times
			w.write(f)
			w.read(f)
		}
		if w.random.IntN(4) > 0 {
			w.remove(f)
		}
	}
}

func (w *worker) fail(f *file, format string, args ...any) {
	w.wrong = append(w.wrong, mistake{f.name, fmt.Sprintf("%s %s ", time.Now().UTC().Format(logged), f.name) + fmt.Sprintf(format, args...)})
}

// failed counts what may fail: all that meets a fault, or a disk that is full.
func (w *worker) failed(err error) {
	if no := syscall.Errno(0); errors.As(err, &no) {
		w.failures[no]++
	}
}

// open opens, does something, and closes. What is done to the file is known where all of
// it ended well.
func (w *worker) open(f *file, flags int, do func(*os.File) error) error {
	opened, err := os.OpenFile(filepath.Join(w.mountpoint, f.name), flags, 0o644)
	if err == nil {
		err = errors.Join(do(opened), opened.Close())
	}
	if errors.Is(err, os.ErrNotExist) && f.data != nil {
		w.fail(f, "has %d bytes, and there is none: %v", len(f.data), err)
	}
	w.failed(err)
	return err
}

// empty makes the file, or makes it empty. What is empty is committed after its close, and
// that may fail.
func (w *worker) empty(f *file) {
	_ = w.open(f, os.O_RDWR|os.O_CREATE, func(opened *os.File) error { f.data = nil; return opened.Truncate(0) })
	f.data = nil
}

// write writes it whole.
func (w *worker) write(f *file) {
	data := make([]byte, 64<<10+w.random.IntN(128<<10))
	for i := range data {
		data[i] = byte(w.random.Uint32())
	}
	err := w.open(f, os.O_RDWR, func(opened *os.File) error {
		f.data = nil
		if err := opened.Truncate(0); err != nil {
			return err
		}
		_, err := opened.Write(data)
		if err == nil && w.random.IntN(3) == 0 {
			err = opened.Sync()
		}
		return err
	})
	if err == nil {
		f.data = data
	}
}

// read looks at the beginning, as who wants to know the format.
func (w *worker) read(f *file) {
	head := make([]byte, 512)
	err := w.open(f, os.O_RDONLY, func(opened *os.File) error {
		n, err := opened.ReadAt(head, 0)
		head = head[:n]
		return err
	})
	if err == nil && f.data != nil && !bytes.Equal(head, f.data[:len(head)]) {
		w.fail(f, "reads as other bytes than were accepted")
	}
}

// remove removes it, as rm does, and asks the service what is left.
func (w *worker) remove(f *file) {
	var st unix.Stat_t
	path := filepath.Join(w.mountpoint, f.name)
	err := unix.Lstat(path, &st)
	if err == nil {
		err = unix.Unlink(path)
	}
	gone := errors.Is(err, unix.ENOENT)
	if gone && f.data != nil {
		w.fail(f, "has %d bytes, and rm does not find it", len(f.data))
	}
	f.data = nil
	if err != nil && !gone {
		w.failed(err)
		return
	}
	w.removals++
	told := err
	_, err = w.api.List(context.Background(), client.Filter{Name: &f.name}, func(page []image.Image) error {
		for _, img := range page {
			if img.Status == image.StatusActive { // not the empty record of a commit that failed
				w.fail(f, "was removed (%v), and the service has %+v", told, img)
			}
		}
		return nil
	})
	if err != nil {
		w.fail(f, "was removed, and the service does not answer: %v", err)
	}
}
