package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// images is how many are read at once.
const images = 8

// publishEight publishes as many random images of a quarter of the size.
func (l *lab) publishEight(ctx context.Context) ([]published, error) {
	var all []published
	for i := range byte(images) {
		p, err := l.publish(ctx, l.plain, fmt.Sprintf("image-%d.raw", i), "raw", l.small.size, noise(16+i, l.small.size))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// readAtOnce reads each image of a mount from start to end by some readers, each
// with an equal part, all at once, and says when each image was done.
func readAtOnce(ctx context.Context, m *mount, all []published, readers int) ([]time.Duration, error) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards errs and done
		errs  []error
		done  = make([]time.Duration, len(all))
	)
	begun := time.Now()
	for i, p := range all {
		f, err := os.Open(m.path(p.name))
		if err != nil {
			group.Wait()
			return nil, err
		}
		defer f.Close() // only read
		for r := range int64(readers) {
			group.Go(func() {
				part := p.size / int64(readers)
				_, err := readPart(ctx, f, r*part, part)
				mu.Lock()
				defer mu.Unlock()
				errs, done[i] = append(errs, err), max(done[i], time.Since(begun))
			})
		}
	}
	group.Wait()
	return done, errors.Join(errs...)
}

func eight() row {
	return row{
		name: "eight", title: "8 images at once behind the link",
		about:   `8 images, each from start to end by a reader of its own. The speed is of all together, until the last is done.`,
		metrics: []metric{speed, spread}, fills: 4,
		targets: []target{
			{text: "0.95 of what the link gives", of: imagefs, over: []string{sixteen}, metric: speed, least: 0.95},
			{text: "slowest within 1.5 of the fastest", of: imagefs, metric: spread, most: 1.5},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			all, err := l.publishEight(ctx)
			if err != nil {
				return nil, err
			}
			work := func(ctx context.Context, m *mount) (values, error) {
				done, err := readAtOnce(ctx, m, all, 1)
				if err != nil {
					return nil, err
				}
				fastest, slowest := done[0], done[0]
				for _, d := range done {
					fastest, slowest = min(fastest, d), max(slowest, d)
				}
				return values{
					speed.key:  mbs(images*all[0].size, slowest),
					spread.key: slowest.Seconds() / fastest.Seconds(),
				}, nil
			}
			contenders := []contender{l.onImagefs(l.shaped, work), l.ranged(l.shaped, l.large, streams)}
			for _, r := range l.sequentialRclones() {
				if !r.cached {
					contenders = append(contenders, l.onRclone(l.shaped, r, work))
				}
			}
			return contenders, nil
		},
	}
}

const (
	// memoryBudget is --memory of the row memory.
	memoryBudget = 256 << 20
	// readersEach image, 64 in all.
	readersEach = 8
)

func memory() row {
	return row{
		name: "memory", title: "Memory with 64 readers",
		about: `8 readers in each of 8 images, on plain loopback, where everything is fastest: the most resident memory that
the process ever had (VmHWM), of which --memory is 256 MiB.`,
		metrics: []metric{resident, speed},
		targets: []target{
			{text: "at most --memory and 128 MiB", of: imagefs + " --memory 256MiB", metric: resident, most: memoryBudget>>20 + 128},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			all, err := l.publishEight(ctx)
			if err != nil {
				return nil, err
			}
			work := func(ctx context.Context, m *mount) (values, error) {
				begun := time.Now()
				if _, err := readAtOnce(ctx, m, all, readersEach); err != nil {
					return nil, err
				}
				taken := time.Since(begun)
				peak, err := peakMemory(m.program.cmd.Process.Pid)
				return values{resident.key: float64(peak) / (1 << 20), speed.key: mbs(images*all[0].size, taken)}, err
			}
			return []contender{l.onImagefs(l.plain, work, "--memory", "256MiB")}, nil
		},
	}
}

// peakMemory is the most that was resident of a process, in bytes.
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	words := bytes.Fields(rest)
	if len(words) == 0 {
		return 0, errors.New("no VmHWM in /proc")
	}
	kib, err := strconv.ParseInt(string(words[0]), 10, 64)
	return kib << 10, err
}
