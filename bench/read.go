package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"
)

const (
	readSize  = 1 << 20 // as dd bs=1M and qemu-img convert
	smallRead = 4 << 10
	// apart is how far random reads are from each other: as much as imagefs may
	// fetch for one, so that none is answered by another.
	apart = 256 << 10
)

// readFile reads a file from start to end.
func readFile(ctx context.Context, path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read
	return readPart(ctx, f, 0, 1<<62)
}

// readPart reads length bytes at off, or up to the end of the file.
func readPart(ctx context.Context, f *os.File, off, length int64) (int64, error) {
	buf := make([]byte, readSize)
	var total int64
	for total < length {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := f.ReadAt(buf[:min(readSize, length-total)], off+total)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// copied is how dd says how long it took, in seconds.
var copied = regexp.MustCompile(`^(\d+) bytes .* copied, ([0-9.e+-]+) s,`)

// sequential measures `dd bs=1M` of a file.
func (l *lab) sequential(ctx context.Context, path string, size int64) (values, error) {
	cmd := l.command(ctx, "dd", "if="+path, "of=/dev/null", "bs=1M")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	found := copied.FindSubmatch(lastLine(out))
	if found == nil || string(found[1]) != strconv.FormatInt(size, 10) {
		return nil, fmt.Errorf("%s did not read %d bytes: %s", cmd, size, out)
	}
	taken, err := strconv.ParseFloat(string(found[2]), 64)
	return values{speed.key: float64(size) / taken / 1e6}, err
}

func lastLine(text []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return lines[len(lines)-1]
}

func mbs(n int64, taken time.Duration) float64 { return float64(n) / taken.Seconds() / 1e6 }

// random reads 4 KiB at a time from places that were not read yet, in random order,
// by several readers that share the open file, until the places or the time are
// used up. It says how long each read took, and how long all.
func random(ctx context.Context, path string, size int64, readers, most int, limit time.Duration) (each []time.Duration, all time.Duration, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() // only read
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	places := rand.Perm(int(size / apart))
	if len(places) > most {
		places = places[:most]
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards places, each and err
	)
	next := func() (off int64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(places) == 0 || err != nil || ctx.Err() != nil {
			return 0, false
		}
		off = int64(places[0])*apart + rand.Int64N(apart/smallRead)*smallRead
		places = places[1:]
		return off, true
	}
	begun := time.Now()
	for range readers {
		group.Go(func() {
			buf := make([]byte, smallRead)
			for off, ok := next(); ok; off, ok = next() {
				sent := time.Now()
				_, failed := f.ReadAt(buf, off)
				taken := time.Since(sent)
				mu.Lock()
				each, err = append(each, taken), errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return each, time.Since(begun), err
}
