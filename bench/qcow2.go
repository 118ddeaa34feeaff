package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// fullSize is how much the qcow2 of the row info holds, and a little less than the
// size of its file. With a smaller -size it is as much smaller.
const fullSize = 10

// publishFull publishes a qcow2 whose every cluster is there, all zeros.
func (l *lab) publishFull(ctx context.Context) (published, error) {
	path := filepath.Join(l.dir, "full.qcow2")
	size := strconv.FormatInt(fullSize*l.options.size, 10)
	if _, err := l.run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, size); err != nil {
		return published{}, err
	}
	return l.publishFile(ctx, path, "qcow2")
}

// publishDisk publishes a qcow2 of a disk of which a tenth is in use. Packed, its
// bytes can be compressed to about half, and are.
func (l *lab) publishDisk(ctx context.Context, name string, packed bool) (published, error) {
	raw, path := filepath.Join(l.dir, "disk.raw"), filepath.Join(l.dir, name)
	content := noise(4, l.options.size)
	args := []string{"convert", "-f", "raw", "-O", "qcow2"}
	if packed {
		content = padded{noise(5, l.options.size/2)}
		args = append(args, "-c", "-W", "-m", "8")
	}
	if err := writeFile(raw, content, fullSize*l.options.size); err != nil {
		return published{}, err
	}
	if _, err := l.run(ctx, "qemu-img", append(args, raw, path)...); err != nil {
		return published{}, err
	}
	if err := os.Remove(raw); err != nil {
		return published{}, err
	}
	return l.publishFile(ctx, path, "qcow2")
}

// writeFile writes a file with a hole behind its content.
func writeFile(path string, content io.Reader, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close() // Truncate, the last write, tells
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, content, make([]byte, readSize)); err != nil {
		return err
	}
	return f.Truncate(size)
}

// padded follows each byte by a zero.
type padded struct{ io.Reader }

func (p padded) Read(buf []byte) (int, error) {
	n, err := p.Reader.Read(buf[:len(buf)/2])
	for i := n - 1; i >= 0; i-- {
		buf[2*i], buf[2*i+1] = buf[i], 0
	}
	return 2 * n, err
}

// publishFile publishes a local file on the sites without no-ranges, by its own
// name, and removes it.
func (l *lab) publishFile(ctx context.Context, path, format string) (published, error) {
	f, err := os.Open(path)
	if err != nil {
		return published{}, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return published{}, err
	}
	p, err := l.publish(ctx, l.plain, filepath.Base(path), format, info.Size(), f)
	if err != nil {
		return published{}, err
	}
	return p, os.Remove(path)
}
