package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

// options are those of a soak.
type options struct {
	service string // embedded or glance
	length  time.Duration
	seed    uint64
	race    bool          // the daemon is built with the race detector, and its memory has no bound
	rest    time.Duration // without any work, before memory and the like are compared
	dir     string        // of everything; it is there, and somebody else removes it
	round   time.Duration // of work, on average
	only    string        // what happens in each round; "" for all in turn
	plan    []string      // what happens in the rounds, instead of at random for the length
	fixed   int           // bytes of the smallest image that is only read
	verbose bool
}

const (
	// roundTime is how long the workers work between two looks at the service.
	roundTime = 20 * time.Second
	// restTime lets idle connections end, which the daemon keeps for 30 s.
	restTime = 40 * time.Second
	// faultRate is the part of the requests that fail.
	faultRate = 0.05
	// killsFor is the part of the time in which the daemon is killed. It lives through the
	// rest, so that what grows in it is seen.
	killsFor = 0.4
	// hungBound is how long operations may go on when their daemon is dead.
	hungBound = 10 * time.Second
)

// A soak is one run.
type soak struct {
	options
	binary    string
	version   string     // of imagefs
	random    *rand.Rand // of run alone
	began     time.Time
	service   service
	proxy     *fault.Proxy
	api       *client.Client
	daemon    *daemon.Daemon
	writeback bool // of the daemon's life
	disk      *daemon.Disk
	gate      *gate
	trouble   *trouble
	tally     *tally
	workers   []*worker
	sampler   *sampler

	ctx      context.Context // of the soak; over ends it early
	over     func()
	happened map[string]int
	order    []string // what happens next; a deck that is dealt out
	audits   int
	slowest  time.Duration // what was accepted took so long to be committed, once nothing was wrong
	kept     int           // drafts that were left of operations that failed
	hung     int           // operations that did not end with their daemon
}

// run soaks. The figures are good where there is no error.
func run(o options) (figures figures, err error) {
	s := &soak{
		options: o, random: rand.New(rand.NewPCG(o.seed, 0)), began: time.Now(), gate: newGate(), tally: newTally(),
		happened: map[string]int{},
	}
	s.ctx, s.over = context.WithCancel(context.Background())
	defer s.over()
	s.trouble = &trouble{injected: s.faults}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.setUp(); err != nil {
		return figures, err
	}
	s.began = time.Now()
	var group sync.WaitGroup
	for _, w := range s.workers {
		group.Go(w.work)
	}
	stop := s.sampler.start()
	s.rounds()
	s.gate.end()
	s.gate.kill()
	group.Wait()
	stop()
	figures = s.figures()
	for _, what := range s.sampler.passed(s) {
		s.fail("%s", what)
	}
	if wrong := s.tally.failures(); len(wrong) > 0 {
		return figures, fmt.Errorf("%d things are wrong; the first is: %s", len(wrong), wrong[0])
	}
	return figures, nil
}

// setUp brings up everything.
func (s *soak) setUp() (err error) {
	if s.race {
		s.binary, err = daemon.Build(s.dir)
	} else {
		s.binary, err = daemon.BuildWith(s.dir)
	}
	if err != nil {
		return err
	}
	if s.service, err = s.newService(); err != nil {
		return err
	}
	if s.proxy, err = fault.New(s.service.address()); err != nil {
		return err
	}
	args, err := s.service.behind(s.proxy.URL())
	if err != nil {
		return err
	}
	if s.api, err = dial(clientOf(args)); err != nil {
		return err
	}
	for i := range fixedImages {
		if err := upload(context.Background(), s.api, fixedName(i), fixedSeed(i), s.sizeOf(i)); err != nil {
			return err
		}
	}
	if s.disk, err = daemon.NewDisk(filepath.Join(s.dir, "disk"), diskSpace); err != nil {
		return err
	}
	s.daemon, err = daemon.New(s.binary, s.dir, append(args,
		"--log-level", "info", "--stall-timeout", s.service.stall(), "--list-ttl", "5s", "--memory", fmt.Sprint(memoryOption), "--streams", fmt.Sprint(streamsOption),
		"--cache-size", fmt.Sprint(cacheOption), "--cache-dir", s.disk.Path("cache"), "--staging-dir", s.disk.Path("staging"))...)
	if err != nil {
		return err
	}
	s.daemon.Cache, s.daemon.Staging = s.disk.Path("cache"), s.disk.Path("staging")
	m, err := s.status()
	if err != nil {
		return err
	}
	s.version = m.Version
	s.sampler = newSampler(s)
	return s.hire()
}

func (s *soak) newService() (service, error) {
	switch s.options.service {
	case "embedded":
		return newEmbedded(s.binary, s.dir)
	case "glance":
		return newGlance()
	}
	return nil, fmt.Errorf("no service is called %q: embedded, glance", s.options.service)
}

// hire makes the workers.
func (s *soak) hire() error {
	for _, w := range []struct {
		prefix string
		files  int
		step   func(*worker)
	}{
		{"copy-a", 5, copies}, {"copy-b", 5, copies}, {"tree", 8, trees}, {diskPrefix, 3, disks},
		{"edit", 4, edits}, {"attribute", 3, attributes},
		{"read-a", 0, reads}, {"read-b", 0, reads}, {"read-c", 0, reads}, {"list", 0, listings},
	} {
		made, err := s.newWorker(w.prefix, w.files, w.step)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, made)
	}
	return nil
}

func (s *soak) path(name string) string { return filepath.Join(s.daemon.Mountpoint, name) }

// log tells what goes on.
func (s *soak) log(format string, args ...any) {
	if s.verbose {
		fmt.Fprintf(os.Stderr, "%s %6.1fs %s\n", time.Now().Format("15:04:05.000"), time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

// sleep lets the workers work; less long where the soak ends.
func (s *soak) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

func (s *soak) ended() bool { return s.ctx.Err() != nil }

// upTo is a random time.
func (s *soak) upTo(d time.Duration) time.Duration { return time.Duration(s.random.Int64N(int64(d))) }

// dump has the daemon log what each goroutine is about, and end.
func (s *soak) dump() { _ = s.daemon.Signal(syscall.SIGQUIT) } // it may be dead already

// close ends all that was brought up.
func (s *soak) close() error {
	var err error
	if s.daemon != nil {
		err = s.daemon.Kill()
	}
	if s.api != nil {
		s.api.Close()
	}
	if s.proxy != nil {
		err = errors.Join(err, s.proxy.Close())
	}
	if s.service != nil {
		err = errors.Join(err, s.service.close())
	}
	if s.disk != nil {
		err = errors.Join(err, s.disk.Close())
	}
	return err
}
