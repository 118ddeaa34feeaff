package fs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// statfsBlock is the unit that statfs(2) counts in, in bytes.
	statfsBlock = 4096

	// roomWithoutQuota is what df shows where the service tells no limit: 1 PiB, a
	// round number that no program takes for too little.
	roomWithoutQuota = 1 << 50

	// manyFiles is what df -i shows: the service tells no limit of images.
	manyFiles = 1 << 32

	// nameMax is the longest entry in bytes, as on local filesystems.
	nameMax = 255

	// usageAge is how old the quota may be that df shows: one request a minute at
	// most, and only while somebody asks.
	usageAge = time.Minute
)

// usage is what the service last told of this project's storage, in bytes.
type usage struct {
	used, limit int64 // limit 0: none
	asked       time.Time
}

// Statfs answers from memory: df must not hang while the service is away.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.fs.statfs(out)
	return 0
}

// Statfs answers from memory.
func (r *rootNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	r.fs.statfs(out)
	return 0
}

func (f *FS) statfs(out *fuse.StatfsOut) {
	f.mu.Lock()
	u := f.usage
	due := f.Usage != nil && time.Since(u.asked) > usageAge && f.life.Err() == nil
	if due {
		f.usage.asked = time.Now()
	}
	f.mu.Unlock()
	if due {
		f.settling.Go(f.refreshUsage)
	}
	total, free := int64(roomWithoutQuota), int64(roomWithoutQuota)
	if u.limit > 0 {
		total, free = u.limit, max(u.limit-u.used, 0)
	}
	out.Bsize, out.Frsize, out.NameLen = statfsBlock, statfsBlock, nameMax
	out.Blocks = uint64(total / statfsBlock)
	out.Bfree = uint64(free / statfsBlock)
	out.Bavail = out.Bfree
	out.Files, out.Ffree = manyFiles, manyFiles
}

// refreshUsage asks the service for the quota. What it says is shown by the next
// statfs.
func (f *FS) refreshUsage() {
	ctx, cancel := context.WithTimeout(f.life, directoryBound)
	defer cancel()
	used, limit, ok, err := f.Usage.Storage(ctx)
	if err != nil {
		f.log.Debug("asking for the quota failed; df shows what was known before", "error", err)
		return
	}
	if !ok {
		used, limit = 0, 0
	}
	f.mu.Lock()
	f.usage.used, f.usage.limit = used, limit
	f.mu.Unlock()
}
