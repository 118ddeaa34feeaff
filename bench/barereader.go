package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// bareReaderCommand makes this program a filesystem: `bench bare-reader URL SIZE CACHE
// MOUNTPOINT`. Without a name of a file, CACHE is in memory only.
const bareReaderCommand = "bare-reader"

const (
	// bareReadAhead and bareBackground are what imagefs tells the kernel (fs/tuning.go).
	bareReadAhead  = 1 << 20 // bytes
	bareBackground = 64      // requests
	// bareBlock is what is received, checked and written at once: no request of the
	// kernel is larger. bareSpan is what is asked for by one request, so that there are
	// few. Bytes.
	bareBlock = 1 << 20
	bareSpan  = 16 << 20
	// bareSpans is how many requests are under way, and bareWindow how many blocks are
	// held behind and ahead of the reader.
	bareSpans  = 2
	bareWindow = 64
)

// bareReading is its one file, and the name of the contender.
const bareReading = bareReaderCommand

// onBareReader is the least that a FUSE filesystem in Go with a checked cache on disk
// does for one reader from start to end, and nothing else: no other reader, no
// offset but the next one, no error is thought of, and the cache is never read.
func (l *lab) onBareReader(s *site, p published) contender {
	return l.bareReader(bareReading, "CRC32C, and a file that is written on disk", "cache", s, p)
}

// onBareReaderAlone writes nothing: what it does not reach, no cache on disk lets one
// reach, however little it costs.
func (l *lab) onBareReaderAlone(s *site, p published) contender {
	return l.bareReader(bareReading+" without a disk", "and CRC32C", "", s, p)
}

// bareReader is one of both, with the name of its file on disk, if any.
func (l *lab) bareReader(name, what, cache string, s *site, p published) contender {
	return contender{
		name: name, how: fmt.Sprintf("go-fuse, %d ranged requests of %d MiB at once by net/http, %s; for one `dd` only", bareSpans, bareSpan>>20, what),
		measure: func(ctx context.Context) (values, error) {
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			private, err := l.temp("bare-reader")
			if err != nil {
				return nil, err
			}
			file := ""
			if cache != "" {
				file = filepath.Join(private, cache)
			}
			m, err := l.mountProgram(ctx, "env", "OS_TOKEN="+s.token, self, bareReaderCommand, s.image(p), strconv.FormatInt(p.size, 10), file, "MOUNTPOINT")
			if m != nil {
				m.private = private
			}
			return with(m, err, func(m *mount) (values, error) { return l.sequential(ctx, m.path(bareReading), p.size) })
		},
	}
}

func serveBareReader(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s: URL, SIZE, CACHE and MOUNTPOINT are missing", bareReaderCommand)
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	var cache io.WriterAt
	if args[2] != "" {
		file, err := os.OpenFile(args[2], os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		defer file.Close() // nobody reads it
		cache = file
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	image := &bareImage{url: args[0], size: size, cache: cache, blocks: map[int64][]byte{}, sums: make([]uint32, (size+bareBlock-1)/bareBlock)}
	image.changed = sync.NewCond(&image.mu)
	root := &fs.Inode{}
	server, err := fs.Mount(args[3], root, &fs.Options{
		OnAdd: func(ctx context.Context) {
			root.AddChild(bareReading, root.NewPersistentInode(ctx, image, fs.StableAttr{}), false)
		},
		MountOptions: fuse.MountOptions{
			MaxWrite: bareWrite, MaxReadAhead: bareReadAhead, MaxBackground: bareBackground, FsName: bareReaderCommand, Name: bareReaderCommand,
			DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		},
	})
	if err != nil {
		return err
	}
	err = readAhead(args[3])
	var fetching sync.WaitGroup
	transport := newTransport()
	for i := range bareSpans {
		fetching.Go(func() { image.fetch(ctx, transport, int64(i)) })
	}
	<-ctx.Done()
	image.end(ctx.Err())
	fetching.Wait()
	transport.CloseIdleConnections()
	err = errors.Join(err, server.Unmount())
	server.Wait()
	return err
}

// readAhead is set as imagefs sets it.
func readAhead(mountpoint string) error {
	dev := device(mountpoint)
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(dev), unix.Minor(dev))
	return os.WriteFile(path, []byte(strconv.Itoa(bareReadAhead>>10)), 0)
}

// bareImage is the file.
type bareImage struct {
	fs.Inode
	url   string
	size  int64       // bytes
	cache io.WriterAt // nil: none
	sums  []uint32    // by block; each is written by the goroutine that fetches it

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond
	blocks  map[int64][]byte // that are held, by their numbers
	reached int64            // the last block that was read
	err     error
}

var (
	_ fs.NodeGetattrer = (*bareImage)(nil)
	_ fs.NodeOpener    = (*bareImage)(nil)
	_ fs.NodeReader    = (*bareImage)(nil)
)

// Getattr tells the size.
func (f *bareImage) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o444, uint64(f.size) //nolint:gosec // published by this program
	return fs.OK
}

// Open opens it for reading.
func (f *bareImage) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, fs.OK
}

// Read waits for the block that has the bytes: requests are not larger than one.
func (f *bareImage) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= f.size {
		return fuse.ReadResultData(nil), fs.OK
	}
	n := off / bareBlock
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.reached {
		f.reached = n
		f.changed.Broadcast()
	}
	for f.blocks[n] == nil {
		if f.err != nil {
			return nil, syscall.EIO
		}
		f.changed.Wait()
	}
	rest := f.blocks[n][off%bareBlock:]
	return fuse.ReadResultData(rest[:min(len(rest), len(dest))]), fs.OK
}

// fetch fetches each bareSpans-th span, no further ahead than the window.
func (f *bareImage) fetch(ctx context.Context, transport *http.Transport, span int64) {
	var free [][]byte
	for ; span*bareSpan < f.size; span += bareSpans {
		from, to := span*bareSpan, min((span+1)*bareSpan, f.size)
		body, err := openRange(ctx, transport, f.url, os.Getenv("OS_TOKEN"), from, to)
		for off := from; err == nil && off < to; off += bareBlock {
			n := off / bareBlock
			if free, err = f.room(n, free); err != nil {
				break
			}
			var buf []byte
			if len(free) > 0 {
				buf, free = free[0], free[1:]
			} else {
				buf = make([]byte, bareBlock)
			}
			buf = buf[:min(bareBlock, to-off)]
			if _, err = io.ReadFull(body, buf); err != nil {
				break
			}
			f.put(n, buf)
			f.sums[n] = crc32.Checksum(buf, castagnoli)
			if f.cache != nil {
				_, err = f.cache.WriteAt(buf, off)
			}
		}
		if body != nil {
			err = errors.Join(err, body.Close())
		}
		if err != nil {
			f.end(err)
			return
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// room waits until the block is in the window.
func (f *bareImage) room(n int64, free [][]byte) ([][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n > f.reached+bareWindow/2 && f.err == nil {
		f.changed.Wait()
	}
	if old := f.blocks[n-bareWindow]; old != nil {
		delete(f.blocks, n-bareWindow)
		free = append(free, old[:bareBlock])
	}
	return free, f.err
}

func (f *bareImage) put(n int64, block []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocks[n] = block
	f.changed.Broadcast()
}

func (f *bareImage) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, err)
	f.changed.Broadcast()
}
