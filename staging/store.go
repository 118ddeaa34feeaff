package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/localdir"
)

// Options of a Store.
type Options struct {
	Dir     string       // absolute; made if missing
	Service string       // canonical URL of the Image API: each service has drafts of its own
	Project string       // noted in every journal; "" when unknown
	Cloud   string       // noted in every journal: how a later command finds the service; "" for none
	Logger  *slog.Logger // nil: no log
	// Clock tells the times of journals, which ExpireAbandoned goes by: the service's, for
	// a host that has just booted may be years off; nil: the host's.
	Clock func() time.Time
	// Sync puts a data file on the disk, and Written tells whether the disk has failed to
	// take what it was given so far; nil: by the kernel. (A disk that fails is rare.)
	Sync, Written func(data *os.File) error
}

// Store is the staging directory of one service. Several processes may have one
// on the same directory. Its methods may be called by several goroutines.
type Store struct {
	service, project, cloud string // service is "" where Survey opens every directory

	path  string // of the service's directory
	disk  disk
	boot  string
	log   *slog.Logger
	now   func() time.Time
	clock func() time.Time          // see Options.Clock
	sync  func(data *os.File) error // see Options.Sync
	// written returns a failure of what the kernel has written to the disk by itself so
	// far, and waits for nothing: what it has not written yet is in memory.
	written func(data *os.File) error
}

// Open makes the directory if need be, checks that nobody else can write to it
// and finishes what a crash interrupted: the discarding of drafts, and the
// writing of journals. A directory that cannot be used is kind Misconfigured,
// and its message says what to do. The caller closes the Store after the last
// draft.
func Open(o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if !filepath.IsAbs(o.Dir) {
		return nil, refused(o.Dir, "the staging directory must be an absolute path")
	}
	dir := filepath.Clean(o.Dir)
	path := filepath.Join(dir, serviceDir(o.Service))
	for _, each := range []string{dir, path} { // in this order: nothing is made beneath a symlink
		if err := makeDir(each, syncDir); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	s := newStore(o, path, rootDisk{root})
	if err := s.sweep(); err != nil {
		return nil, errors.Join(unusable(path, err), s.Close())
	}
	return s, nil
}

func newStore(o Options, path string, d disk) *Store {
	s := &Store{
		service: o.Service, project: o.Project, cloud: o.Cloud, path: path, disk: d,
		boot: bootID(), log: o.Logger, now: time.Now, clock: o.Clock, sync: o.Sync, written: o.Written,
	}
	if s.sync == nil {
		s.sync = (*os.File).Sync
	}
	if s.written == nil {
		s.written = writtenSoFar
	}
	if s.clock == nil {
		s.clock = func() time.Time { return s.now() }
	}
	return s
}

// Close frees the directory. Drafts must have been closed before.
func (s *Store) Close() error { return s.disk.close() }

// Dir is the directory that holds the drafts of this service.
func (s *Store) Dir() string { return s.path }

// Create makes a new draft, open, empty or of its base's size, and held by this
// process. The journal is on disk when it returns; on an error nothing is left
// there. A full disk is kind LocalFull. The draft owns spec.Base from here on,
// also when Create fails.
func (s *Store) Create(spec Spec) (*Draft, error) {
	d, err := s.create(spec)
	for try := 1; errors.Is(err, errSwept) && try < createTries; try++ {
		d, err = s.create(spec)
	}
	if err == nil {
		return d, nil
	}
	if spec.Base != nil {
		err = errors.Join(err, spec.Base.Close())
	}
	return nil, fail("create draft", spec.Name, err)
}

// errSwept: another process that opened its Store took the new data file for
// debris, in the moment before it was locked.
var errSwept = errors.New("a new draft was swept away by another process")

// createTries bounds the tries against errSwept, which needs a process that
// starts within the same microseconds.
const createTries = 4

func (s *Store) create(spec Spec) (*Draft, error) {
	id := uuid.NewString()
	now := s.clock().UTC()
	j := journal{Record: Record{
		Version: journalVersion, Draft: id, Name: spec.Name, Entry: spec.Entry,
		Service: s.service, Project: s.project, Cloud: s.cloud, State: StateOpen,
		Replaces: spec.Replaces, Into: spec.Into, Boot: s.boot, Synced: true,
		CreatedAt: now, UpdatedAt: now, Attributes: spec.Attributes,
	}}
	if spec.Inherit != nil {
		j.Inherit, j.Inherited = spec.Inherit.ID, spec.Inherit
	}
	if spec.Base != nil {
		if spec.BaseImage.ID == "" || spec.BaseImage.Size < 0 {
			return nil, syscall.EINVAL // its journal would be unreadable
		}
		j.Base, j.Size, j.limit = spec.BaseImage.ID, spec.BaseImage.Size, spec.BaseImage.Size
		j.BaseVersion = versionOf(spec.BaseImage)
	}
	f, err := s.disk.create(id + dataSuffix)
	if err != nil {
		return nil, err
	}
	held, err := lock(f, syscall.LOCK_EX)
	if err == nil && (!held || !linked(f)) {
		err = errSwept
	}
	if err == nil {
		err = f.Truncate(j.Size)
	}
	if err == nil {
		err = writeJournal(s.disk, &j)
	}
	if err != nil {
		return nil, errors.Join(err, s.erase(id), f.Close())
	}
	return newDraft(s, f, j, spec), nil
}

// versionOf tells the bytes of a base from others.
func versionOf(base image.Image) string { return base.Key("").Version }

// erase removes every trace of a draft, the journal first.
func (s *Store) erase(id string) error {
	return errors.Join(
		s.disk.remove(id+journalSuffix), s.disk.remove(id+asideSuffix),
		s.disk.remove(id+dataSuffix), s.disk.remove(id+goneSuffix))
}

// serviceDirBytes of the service's hash name its directory: no collision among
// the few services of one host.
const serviceDirBytes = 8

func serviceDir(service string) string {
	sum := sha256.Sum256([]byte(service))
	return hex.EncodeToString(sum[:serviceDirBytes])
}

// makeDir makes dir and its parents if need be, puts them on the disk, for a draft that was
// fsynced is not to be lost with the directory that it is in, and checks it. sync fsyncs
// a directory.
func makeDir(dir string, sync func(string) error) error {
	if err := localdir.Make(dir, sync); err != nil {
		return notPrivate(dir, err)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return unusable(dir, err)
	}
	return nil
}

// syncDir fsyncs a directory, where its filesystem knows how and it may be read.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// notPrivate tells a directory that is refused from a failure of the system.
func notPrivate(dir string, err error) error {
	var r *localdir.Refusal
	if errors.As(err, &r) {
		return refused(dir, r.Error()+"; or name another with --staging-dir")
	}
	return unusable(dir, err)
}

func refused(dir, why string) error {
	return &image.Error{Op: "open staging directory " + dir, Kind: image.Misconfigured, Detail: why}
}

// unusable is a failure of the system: only a full disk keeps its own kind.
func unusable(dir string, err error) error {
	kind := image.Misconfigured
	if kindOf(err) == image.LocalFull {
		kind = image.LocalFull
	}
	return &image.Error{
		Op: "open staging directory " + dir, Kind: kind,
		Detail: "make it usable or name another with --staging-dir", Err: err,
	}
}

// bootID is the kernel's id of this boot; "" where it cannot be read, which
// only makes recovery more careful.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
