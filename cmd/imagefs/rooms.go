package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/prefetch"
	"github.com/imagefs/imagefs/staging"
)

// rooms are the rooms of one mount, wired together. The adapters between them
// are in roomdirectory.go, roomreads.go and roomwrites.go.
type rooms struct {
	client    *client.Client
	staging   *staging.Store
	disk      *disk.Store // nil: no cache on disk
	diskDir   string      // where it is
	diskNote  string      // why there is none, where it was asked for
	cache     *cache.Cache
	engine    *prefetch.Engine
	catalog   *catalog.Catalog
	trash     *commit.Trash
	committer *commit.Committer
	fresh     newFiles
	log       *slog.Logger
	requests  *metrics.Requests
	answered  *metrics.Operations       // nil where nobody asks for metrics
	server    atomic.Pointer[fs.Server] // nil before the mount

	expiring    sync.WaitGroup     // deletes what has lain in the trash for its time
	endExpiring context.CancelFunc // nil: it was not begun

	liveDrafts atomic.Int64 // made and not ended: being written, or being committed

	left chan struct{} // holds one: a removed file, or a rename, has left something for the recovery to settle
}

// openRooms makes the first requests and opens the staging directory. Its errors
// have their exit code. The caller closes the rooms.
func openRooms(ctx context.Context, c config.Config, log *slog.Logger) (*rooms, error) {
	release, _ := buildVersion()
	dial, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	requests := metrics.NewRequests()
	service, err := client.Dial(dial, client.Options{
		Cloud: c.Cloud, Endpoint: c.Endpoint, Token: c.Token.Reveal(), Insecure: c.Insecure,
		Streams: c.Streams, Stall: c.StallTimeout, Store: c.Store, UserAgent: "imagefs/" + release, Logger: log,
		Observer: requests,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, fail(exitInterruptedBy, "interrupted: nothing was mounted")
		}
		return nil, serviceFailure(err, c.Cloud, c.Endpoint)
	}
	if err := checkStore(dial, service, c.Store); err != nil {
		service.Close()
		return nil, err
	}
	drafts, err := staging.Open(staging.Options{
		Dir: c.StagingDir, Service: service.Service(), Project: service.Project(), Cloud: c.Cloud, Clock: service.Now, Logger: log,
	})
	if err != nil {
		service.Close()
		return nil, stagingFailure(err)
	}
	r := &rooms{client: service, staging: drafts, fresh: newFilesOf(c, service.Project()), log: log, requests: requests, left: make(chan struct{}, 1)}
	if c.Metrics != "" {
		r.answered = metrics.NewOperations(fs.Operations())
	}
	if err := r.openDisk(ctx, c); err != nil {
		service.Close()
		return nil, errors.Join(err, drafts.Close())
	}
	pace := prefetch.NewPace(service, c.Streams)
	r.cache = cache.New(cache.Options{
		Memory: c.Memory, Streams: c.Streams, Source: pace, Prefetches: pace.Requests, Long: pace.Long, Disk: r.disk, Logger: log,
	})
	r.engine = prefetch.New(prefetch.Options{
		Cache: r.cache, Whole: service, Pace: pace, Service: service.Service(), Memory: c.Memory, Streams: c.Streams, Logger: log,
	})
	r.trash = newTrash(service, c.Trash, log)
	r.catalog = catalog.New(catalog.Options{
		Lister: lister{service, c.Filter}, Records: service, Remover: r.trash, Sharer: service, Journals: r.journals(), Project: service.Project(), Filter: c.Filter, TTL: c.ListTTL, Now: service.Now, Logger: log,
		OnChange: func(entry string) {
			if server := r.server.Load(); server != nil {
				server.EntryChanged(entry)
			}
		},
	})
	r.committer = commit.New(commit.Options{
		Service: service, HashAlgo: service.HashAlgo(), Names: r.catalog, Renames: r.catalog, Bases: bases{r}, Trash: r.trash, Settle: c.StallTimeout, Logger: log,
		Defaults: commit.Defaults{Visibility: c.NewVisibility, Properties: c.NewProperties, Tags: c.NewTags},
	})
	return r, nil
}

// checkStore refuses a store that the service does not have: a service with one
// store takes any name and ignores it.
func checkStore(ctx context.Context, service *client.Client, name string) error {
	if name == "" {
		return nil
	}
	names, err := service.Stores(ctx)
	switch {
	case image.Is(err, image.Unsupported):
		return fail(exitUsage, "--store: this service has one store only: leave --store out")
	case err != nil:
		return serviceFailure(err, "", service.Service())
	case !slices.Contains(names, name):
		return fail(exitUsage, "--store: %q is none of this service's stores: use one of %s", name, strings.Join(names, ", "))
	}
	return nil
}

// drafts is the staging directory as fs sees it.
func (r *rooms) drafts() drafts { return drafts{r.staging, &r.liveDrafts, r.adopt, r.left, r.fresh} }

// mount mounts the rooms. It returns when the mount answers.
func (r *rooms) mount(ctx context.Context, mountpoint string, c config.Config) (served, error) {
	var owed []fs.Owed
	if !c.ReadOnly {
		owed = r.takeOwed(ctx)
	}
	server, err := fs.Mount(ctx, mountpoint, fs.Rooms{
		Catalog: directory{r.catalog}, Engine: engine{r.engine}, Permission: permission{r}, Drafts: r.drafts(),
		Committer: committer{r.committer}, Usage: usage{r.client}, Copies: r.copies(),
	}, fs.Options{
		Owed: owed, Writeback: c.Writeback, AtExit: c.StallTimeout, Behind: commit.DefaultUploads - 1, // a close that somebody waits for finds a place
		ReadOnly: c.ReadOnly, AllowOther: c.AllowOther, WriteAllProjects: c.WriteAllProjects,
		UID: c.UID, GID: c.GID, Project: r.client.Project(), Source: sourceName(c, r.client.Service()), Log: r.log, Observe: r.observer(),
		Fresh: image.New{Visibility: c.NewVisibility, Tags: c.NewTags, Properties: c.NewProperties},
	})
	if err != nil {
		return nil, err
	}
	r.server.Store(server)
	if c.Trash > 0 && !c.ReadOnly {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it ends with the rooms
		r.endExpiring = cancel
		r.expiring.Go(func() { r.trash.Expire(ctx) })
	}
	return server, nil
}

// observer counts what the kernel is answered, where somebody asks for metrics.
func (r *rooms) observer() fs.Observer {
	if r.answered == nil {
		return nil
	}
	return func(o fs.Operation, errno syscall.Errno, took time.Duration) {
		r.answered.Answered(int(o), errno, took)
	}
}

// sourceName is the first column of /proc/mounts: as fstab has it, for by that mount -a
// knows what is mounted already.
func sourceName(c config.Config, service string) string {
	switch {
	case c.Cloud != "":
		return "cloud:" + c.Cloud
	case c.Endpoint != "":
		return c.Endpoint
	default:
		return service
	}
}

// waitForCleanUp waits until no commit is under way, up to a limit.
func (r *rooms) waitForCleanUp(limit time.Duration) {
	for deadline := time.Now().Add(limit); len(r.committer.Active()) > 0 && time.Now().Before(deadline); {
		time.Sleep(cleanUpPoll)
	}
}

// cleanUpPoll is how often commits that were given up are looked at: they have a
// request or two to make.
const cleanUpPoll = 20 * time.Millisecond

// close ends the rooms in the order in which they use each other. The filesystem
// must have ended before.
func (r *rooms) close() error {
	if r.endExpiring != nil {
		r.endExpiring()
		r.expiring.Wait()
	}
	r.engine.Close()
	r.cache.Close()
	r.catalog.Close()
	err := r.staging.Close()
	if r.disk != nil {
		err = errors.Join(err, r.disk.Close())
	}
	r.client.Close()
	return err
}

// stagingFailure gives an error of the staging directory its exit code. The room
// says what to do.
func stagingFailure(err error) error {
	code := exitLocalDir
	if image.Is(err, image.LocalFull) {
		code = exitLocalFull
	}
	return &failure{code: code, err: err}
}

var errForeignDraft = errors.New("a draft of another staging directory")

// usage tells the project's quota.
type usage struct{ client *client.Client }

// quotaName is the service's word for the sum of all images' bytes, in MiB.
const quotaName = "image_size_total"

// Storage is what the project stores and may store, in bytes.
func (u usage) Storage(ctx context.Context) (used, limit int64, ok bool, err error) {
	all, err := u.client.Usage(ctx)
	switch {
	case image.Is(err, image.Unsupported):
		return 0, 0, false, nil
	case err != nil:
		return 0, 0, false, fmt.Errorf("usage: %w", err)
	}
	quota, known := all[quotaName]
	if !known || quota.Limit < 0 {
		return 0, 0, false, nil
	}
	return quota.Used << 20, quota.Limit << 20, true, nil
}
