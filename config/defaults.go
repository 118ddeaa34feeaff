package config

import (
	"log/slog"
	"path/filepath"
	"time"
)

const (
	// DefaultMemory, in bytes, holds the look-ahead windows of some ten
	// sequential readers and still fits a small virtual machine.
	DefaultMemory = 256 << 20
	// MinMemory, in bytes, is what the blocks under way need by themselves: with
	// less, a block would be dropped before its reader saw it.
	MinMemory = 16 << 20
	// DefaultCacheSize, in bytes, holds the images that one host usually works with,
	// and is little beside the disks that images are built on. The cache also leaves a
	// twentieth of its disk free.
	DefaultCacheSize = 20 << 30
	// DefaultStreams, a number of requests: half of them are closed to read-ahead, so
	// that 16 carry a sequential reader and as many are there for random ones
	// (docs/BENCHMARKS.md).
	DefaultStreams = 32
	// MaxStreams, a number of requests, is what a service takes from one client
	// before it looks like an attack; each also costs a connection.
	MaxStreams = 256
	// DefaultListTTL is how long a file made elsewhere may stay unseen: people
	// wait half a minute, and a cloud of 10,000 images is not listed more often.
	DefaultListTTL = 30 * time.Second
	// MinListTTL is shorter than any request: it asks the service every time.
	MinListTTL = time.Millisecond
	// DefaultStallTimeout is longer than a service that is healthy says nothing: it asks
	// its database, its store and Keystone.
	DefaultStallTimeout = 60 * time.Second
	// MinStallTimeout is what a busy service may take for its answer, and a line across
	// the world to lose and repeat some packets.
	MinStallTimeout = 2 * time.Second
	// MaxStallTimeout keeps a typing error from letting operations hang.
	MaxStallTimeout = time.Hour
	// DefaultAbandonedTTL is how long what a killed writer left may be wanted: until
	// somebody is back from a weekend and has looked.
	DefaultAbandonedTTL = 7 * 24 * time.Hour
	// DefaultStopTimeout, and what cleaning up takes beside it, is less than the 90 s
	// after which systemd kills a service that it has told to stop. After SIGTERM it
	// bounds all waiting for uploads; after an unmount only waiting without progress.
	DefaultStopTimeout = 60 * time.Second
	// MaxStopTimeout is longer than any upload: it waits for all of them.
	MaxStopTimeout = 30 * 24 * time.Hour
	// MaxListTTL keeps a typing error from freezing the directory.
	MaxListTTL = 24 * time.Hour
	// MinTrash is the shortest time that the property of an image in the trash can
	// say, whose times have whole seconds.
	MinTrash = time.Second
	// MaxTrash keeps a typing error from keeping everything for ever.
	MaxTrash = 3650 * day

	rootStateDir = "/var/lib/imagefs"
	rootCacheDir = "/var/cache/imagefs"
	stagingName  = "staging"
)

// Host is what the defaults depend on.
type Host struct {
	UID, GID  int    // of the process; 0 is root
	StateHome string // XDG_STATE_HOME, resolved; unused for root
	CacheHome string // XDG_CACHE_HOME, resolved; unused for root
}

// cacheDir is where imagefs keeps what it can fetch again.
func (h Host) cacheDir() string {
	if h.UID == 0 {
		return rootCacheDir
	}
	return filepath.Join(h.CacheHome, "imagefs")
}

// StateDir is where imagefs keeps what must survive a restart.
func (h Host) StateDir() string {
	if h.UID == 0 {
		return rootStateDir
	}
	return filepath.Join(h.StateHome, "imagefs")
}

// Defaults returns the configuration of a mount that was told nothing.
func Defaults(h Host) Config {
	return Config{
		UID:        uint32(h.UID),
		GID:        uint32(h.GID),
		Memory:     DefaultMemory,
		Streams:    DefaultStreams,
		CacheDir:   h.cacheDir(),
		CacheSize:  DefaultCacheSize,
		StagingDir: filepath.Join(h.StateDir(), stagingName),
		ListTTL:    DefaultListTTL,

		AbandonedTTL: DefaultAbandonedTTL,
		StallTimeout: DefaultStallTimeout,
		StopTimeout:  DefaultStopTimeout,

		LogLevel:  slog.LevelInfo,
		LogFormat: LogText,
	}
}
