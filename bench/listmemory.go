package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// What an image costs, all in bytes.
var (
	heapLive = metric{"heap-live", "bytes live an image", "%.0f"}
	grown    = metric{"grown", "bytes resident an image", "%.0f"}
	inKernel = metric{"in-kernel", "bytes in the kernel an image", "%.0f"}
)

// oftenCollected is the mount whose heap is seldom larger than what is live in it.
const oftenCollected = imagefs + ", GOGC=5"

func listMemory() row {
	return row{
		name: "list-memory", title: "Memory of a listing of 100,000 images",
		about: `What ls -lU of a fresh mount adds to the daemon, by image: to its resident memory, and to what is live of Go's heap, as
status tells them. What is live is known since the last garbage collection only: a second mount, with GOGC=5, has one
for each 5% of growth. The kernel's inodes and names (fuse_inode and dentry of /proc/slabinfo) are its own.`,
		metrics: []metric{grown, heapLive, inKernel},
		targets: []target{
			{text: "live: at most 1 KiB an image", of: oftenCollected, metric: heapLive, most: 1 << 10},
			{text: "resident: at most 2 KiB an image", of: imagefs, metric: grown, most: 2 << 10},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newCrowd(ctx)
			if err != nil {
				return nil, err
			}
			plain := l.onImagefs(s, l.growing)
			plain.how += ", and one `ls -lU`"
			often := contender{name: oftenCollected, how: "the same with `GOGC=5` in the environment", measure: func(ctx context.Context) (values, error) {
				private, err := l.temp(imagefs)
				if err != nil {
					return nil, err
				}
				m, err := l.mountProgram(ctx, "env", append([]string{"GOGC=5", l.options.imagefs}, mountArgs(s, private)...)...)
				if m != nil {
					m.private = private
				}
				return with(m, err, func(m *mount) (values, error) {
					v, err := l.growing(ctx, m)
					return values{heapLive.key: v[heapLive.key]}, err
				})
			}}
			return []contender{plain, often}, nil
		},
	}
}

// growing lists all images, and says what that added for each of them.
func (l *lab) growing(ctx context.Context, m *mount) (values, error) {
	before, err := l.memoryOf(ctx, m)
	if err != nil {
		return nil, err
	}
	slabBefore, err := slab()
	if err != nil {
		return nil, err
	}
	if _, err := l.ls(ctx, m, crowd, "-lU"); err != nil {
		return nil, err
	}
	slabAfter, err := slab()
	if err != nil {
		return nil, err
	}
	after, err := l.memoryOf(ctx, m)
	return values{
		grown.key: float64(after.Resident-before.Resident) / crowd, heapLive.key: float64(after.Live-before.Live) / crowd,
		inKernel.key: float64(slabAfter-slabBefore) / crowd,
	}, err
}

// memoryUse is what a daemon tells of its memory, in bytes.
type memoryUse struct {
	Resident int64 `json:"resident_bytes"`
	Live     int64 `json:"heap_live_bytes"`
}

func (l *lab) memoryOf(ctx context.Context, m *mount) (memoryUse, error) {
	var status struct {
		Memory memoryUse `json:"memory"`
	}
	out, err := l.command(ctx, l.options.imagefs, "status", "--json", m.dir).Output()
	if err == nil {
		err = json.Unmarshal(out, &status)
	}
	if err != nil {
		return memoryUse{}, fmt.Errorf("imagefs status: %w", err)
	}
	return status.Memory, nil
}

// slab is what the kernel has for inodes of FUSE and for names, in bytes, of all
// filesystems.
func slab() (int64, error) {
	f, err := os.Open("/proc/slabinfo")
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read
	var total int64
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		line := scanner.Text()
		if !strings.HasPrefix(line, "fuse_inode ") && !strings.HasPrefix(line, "dentry ") {
			continue
		}
		var name string
		var active, all, size int64
		if _, err := fmt.Sscan(line, &name, &active, &all, &size); err != nil {
			return 0, fmt.Errorf("/proc/slabinfo: %w", err)
		}
		total += active * size
	}
	return total, scanner.Err()
}
