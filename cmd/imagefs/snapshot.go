package main

import (
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/web"
)

// about gathers what a mount tells about itself, from memory and the local disk.
type about struct {
	mountpoint string
	logFile    string
	config     config.Config
	started    time.Time
	rooms      *rooms
	recent     *recentLines
	serving    atomic.Pointer[served] // nil before the mount
	ending     atomic.Bool
	web        atomic.Pointer[web.Server] // nil where nothing is served
}

func (a *about) snapshot() metrics.Snapshot {
	release, _ := buildVersion()
	c := a.config
	s := metrics.Snapshot{
		Mountpoint: a.mountpoint, PID: os.Getpid(), Version: release, LogFile: a.logFile,
		Started: a.started.UTC(), Uptime: time.Since(a.started).Seconds(), State: metrics.StateMounting,
		Service:  metrics.Service{URL: a.rooms.client.Service(), Project: a.rooms.client.Project(), User: a.rooms.client.User(), Insecure: a.rooms.client.Insecure(), Trouble: trouble(a.rooms.client.Trouble())},
		Requests: a.rooms.requests.Counts(), Logged: a.recent.logged(),
		Options: metrics.Options{
			ReadOnly: c.ReadOnly, AllowOther: c.AllowOther, WriteAllProjects: c.WriteAllProjects,
			UID: c.UID, GID: c.GID, Memory: c.Memory, CacheSize: c.CacheSize, Streams: c.Streams,
			ListTTL: c.ListTTL.Seconds(), StagingDir: c.StagingDir, Filter: config.FilterFlags(c), Writeback: c.Writeback, StopTimeout: c.StopTimeout.Seconds(), StallTimeout: c.StallTimeout.Seconds(),
		},
		Memory: memoryUse(), Goroutines: runtime.NumGoroutine(),
		Listing: a.listing(),
		Cache:   a.cache(),
		Readers: a.readers(),
		Commits: a.commits(),
		Uploads: a.uploads(), Transfers: a.transfers(),
		Writing: []metrics.Writing{},
		Waiting: []metrics.Waiting{},
		Drafts:  []metrics.Draft{},

		Passthrough: metrics.Passthrough{Reason: "not mounted yet"},
	}
	if web := a.web.Load(); web != nil {
		s.Metrics = web.URL() + metricsPath
	}
	if server := a.serving.Load(); server != nil {
		s.State = metrics.StateMounted
		s.Handles = (*server).OpenHandles()
		p := (*server).Passthrough()
		s.Passthrough = metrics.Passthrough{On: p.Off == "", Reason: p.Off, Handles: p.Handles}
		for _, w := range (*server).Writing() {
			s.Writing = append(s.Writing, metrics.Writing{Name: w.Entry, Draft: w.Draft, Path: w.Path, Size: w.Size})
		}
		s.Waiting = waiting((*server).Waiting())
	}
	if a.ending.Load() {
		s.State = metrics.StateEnding
	}
	if kept, err := a.rooms.keptDrafts(); err == nil { // an unreadable staging directory is in the log since the mount
		s.Drafts = append(s.Drafts, kept...)
	}
	return s
}

func trouble(all []client.Trouble) []metrics.Trouble {
	list := make([]metrics.Trouble, 0, len(all))
	for _, t := range all {
		list = append(list, metrics.Trouble{Service: t.Service, Since: t.Since.UTC(), Error: t.Err.Error(), Next: t.Next.UTC(), Away: t.Away, Pause: t.Pause})
	}
	return list
}

func waiting(all []fs.Waiting) []metrics.Waiting {
	list := make([]metrics.Waiting, 0, len(all))
	for _, w := range all {
		m := metrics.Waiting{Name: w.Entry, Draft: w.Draft, Path: w.Path, Size: w.Size, Since: w.Since.UTC(), Tries: w.Tries}
		if w.Err != nil {
			m.Error = w.Err.Error()
		}
		if !w.Next.IsZero() {
			next := w.Next.UTC()
			m.Next = &next
		}
		list = append(list, m)
	}
	return list
}

func (a *about) listing() metrics.Listing {
	stats := a.rooms.catalog.Stats()
	l := metrics.Listing{Images: stats.Images, Warning: stats.Warning}
	if !stats.Listed.IsZero() {
		age := time.Since(stats.Listed).Seconds()
		l.Age = &age
		l.Whole = &metrics.Whole{Age: time.Since(stats.Passed).Seconds(), Took: stats.Took.Seconds()}
	}
	return l
}

func (a *about) cache() metrics.Cache {
	stats := a.rooms.cache.Stats()
	c := metrics.Cache{
		Bytes: stats.Memory, Limit: stats.Budget, Blocks: int64(stats.Blocks),
		Hits: stats.Hits, Misses: stats.Misses, Fetched: stats.Fetched, Warning: a.rooms.diskNote,
		Read:  metrics.Read{Memory: stats.FromMemory, Disk: stats.FromDisk, Service: stats.FromService},
		Ahead: stats.Ahead, Wasted: stats.Wasted, Evicted: stats.Evicted,
	}
	if store := a.rooms.disk; store != nil {
		d := store.Stats()
		c.Disk = &metrics.Disk{
			Dir: a.rooms.diskDir, Bytes: d.Bytes, Limit: d.Limit, Images: d.Images, Hits: stats.DiskHits,
			Written: d.Written, Evicted: d.Evicted, Damaged: d.Damaged,
			Verified: d.Verified, Mismatched: d.Mismatched, Verifying: d.Queued,
		}
	}
	return c
}

func (a *about) readers() metrics.Readers {
	stats := a.rooms.engine.Stats()
	return metrics.Readers{Open: stats.Readers, Windows: stats.Windows, Ahead: stats.Ahead, Widest: stats.Widest, Spools: stats.Spools}
}

func (a *about) commits() metrics.Commits {
	stats := a.rooms.committer.Stats()
	return metrics.Commits{Published: stats.Published, Failed: stats.Failed, Sent: stats.Sent}
}

func (a *about) uploads() []metrics.Upload { return uploadsOf(a.rooms.committer.Active()) }

func uploadsOf(active []commit.Progress) []metrics.Upload {
	uploads := []metrics.Upload{}
	for _, p := range active {
		uploads = append(uploads, metrics.Upload{
			Name: p.Name, Draft: p.Draft, Path: p.Path, Phase: string(p.Phase), Sent: p.Sent, Read: p.Read, Size: p.Size, Seconds: time.Since(p.Since).Seconds(), Behind: p.Behind,
		})
	}
	return uploads
}
