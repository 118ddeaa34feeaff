package churn

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

var (
	length = flag.Duration("length", 20*time.Second, "how long the files are churned")
	seed   = flag.Uint64("seed", 1, "what is done, and what fails, follows from it")
)

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	daemon.Main(&binary, func(string) (int, error) { return m.Run(), nil })
}

const (
	workers = 12
	// diskSpace, in bytes, has room for what all workers write, so that it is full where it
	// is filled alone.
	diskSpace = 64 << 20
	// faultRate is the part of the requests that fail: so that two in turn do in a run.
	faultRate = 0.06
	// slow is long beside all else that a request does.
	slow = 150 * time.Millisecond
	// listEvery has listings come between any two requests of a commit.
	listEvery = 50 * time.Millisecond
)

// faults are those of a service in trouble that do not take long: many are needed.
var faults = []fault.Fault{
	fault.Refused, fault.Reset, fault.LostAnswer, fault.ResetInHeader, fault.ResetInBody, fault.SlowDrip, fault.Slow(slow),
	fault.Status(http.StatusInternalServerError, "Something broke."), fault.Status(http.StatusBadGateway, "Bad Gateway"),
	fault.Status(http.StatusServiceUnavailable, "Service Unavailable"), fault.Status(http.StatusGatewayTimeout, "Gateway Timeout"),
	fault.Truncated, fault.TruncatedUntold, fault.ExtraBytes, fault.ExtraBytesCounted, fault.InvalidJSON, fault.MissingFields,
}

// before has a proxy before the service, which lets requests fail.
func before(t *testing.T, s *daemon.Service) *fault.Proxy {
	t.Helper()
	proxy, err := fault.New(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return proxy
}

// What a file was removed from is not there any more, at the service either; and in the
// end, when nothing fails, the mount shows what the service has, and all of it can be
// removed.
func TestChurn(t *testing.T) {
	root := t.TempDir()
	s := daemon.Serve(t, filepath.Join(root, "served"))
	proxy := before(t, s)
	disk, err := daemon.NewDisk(filepath.Join(root, "disk"), diskSpace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	d := daemon.Run(t, binary, root, "--endpoint", proxy.URL(), "--list-ttl", "5s", "--stall-timeout", "6s", "--streams", "8",
		"--staging-dir", disk.Path("staging"), "--cache-dir", disk.Path("cache"))
	d.Staging, d.Cache = disk.Path("staging"), disk.Path("cache")

	proxy.Rate(*seed, faultRate, faults...)
	ctx, cancel := context.WithTimeout(t.Context(), *length)
	defer cancel()
	var group sync.WaitGroup
	all := make([]*worker, workers)
	for i := range all {
		all[i] = newWorker(i, d.Mountpoint, s.API)
		group.Go(func() { all[i].work(ctx) })
	}
	group.Go(func() {
		if err := fill(ctx, disk); err != nil {
			t.Error(err)
		}
	})
	group.Go(func() { list(ctx, d.Mountpoint) })
	group.Wait()
	proxy.Rate(0, 0)

	removals, failures := 0, map[syscall.Errno]int{}
	for _, w := range all {
		removals += w.removals
		for err, n := range w.failures {
			failures[err] += n
		}
		for _, wrong := range w.wrong {
			t.Errorf("%s; the log has:\n%s", wrong.what, story(d, wrong.name))
		}
	}
	t.Logf("-seed %d: %d removals, %d requests met a fault, operations failed: %v", *seed, removals, proxy.Hits(), failures)
	if removals == 0 || proxy.Hits() == 0 {
		t.Error("nothing was tried")
	}
	settle(t, s, d)
}

// fill fills the disk again and again. Of a directory that is no filesystem of its own it
// keeps away.
func fill(ctx context.Context, disk *daemon.Disk) error {
	if !disk.Mounted {
		return nil
	}
	r := rand.New(rand.NewPCG(*seed, workers))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500*time.Millisecond + time.Duration(r.Int64N(int64(2*time.Second)))):
		}
		if err := disk.Fill(ctx, 200*time.Millisecond+time.Duration(r.Int64N(int64(800*time.Millisecond)))); err != nil {
			return err
		}
	}
}

// list lists the directory, as somebody does who watches it.
func list(ctx context.Context, dir string) {
	for ctx.Err() == nil {
		entries, _ := os.ReadDir(dir) // it may fail, as all may
		for _, e := range entries {
			_, _ = e.Info()
		}
		select {
		case <-ctx.Done():
		case <-time.After(listEvery):
		}
	}
}

// id is how the log names images and drafts.
var id = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// story is what the log says of a name, and of all images that it ever had.
func story(d *daemon.Daemon, name string) string {
	const most = 300
	about := []string{name}
	for _, line := range d.About(about, most) {
		about = append(about, id.FindAllString(line, -1)...)
	}
	return strings.Join(d.About(about, most), "")
}

// settle waits until the mount shows what the service has, beside empty files that wait for
// their commit, and removes all of it, and the drafts that are kept of what failed.
func settle(t *testing.T, s *daemon.Service, d *daemon.Daemon) {
	var at, shown []string
	err := d.Until("the mount shows what the service has", func() (bool, error) {
		images, err := s.Images(t.Context())
		if err != nil {
			return false, err
		}
		entries, err := os.ReadDir(d.Mountpoint)
		at, shown = nil, nil
		for _, img := range images {
			if !img.Hidden { // as the parts are that are discarded with their drafts
				at = append(at, img.Name)
			}
		}
		all := true
		for _, e := range entries {
			if e.Type().IsRegular() {
				shown = append(shown, e.Name())
				all = all && !strings.Contains(e.Name(), "~") // one of two images of one name
			}
		}
		for _, name := range at {
			all = all && slices.Contains(shown, name)
		}
		slices.Sort(at)
		return all && len(slices.Compact(slices.Clone(at))) == len(at), err
	})
	if err != nil {
		t.Fatalf("%v: the service has %q, the mount shows %q", err, at, shown)
	}
	for _, name := range shown {
		if err := os.Remove(filepath.Join(d.Mountpoint, name)); err != nil {
			t.Errorf("nothing is wrong any more, and it cannot be removed: %v", err)
		}
	}
	var out []byte
	err = d.Until("what is kept is discarded", func() (bool, error) { // what it has asked for may yet come
		var err error
		out, err = exec.Command(binary, "staged", "discard", "--all", "--yes", "--staging-dir", d.Staging).CombinedOutput()
		return err == nil, nil
	})
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	var left error
	err = d.Until("nothing is left", func() (bool, error) { // what removed files have left is removed after them
		left = s.Holds(t.Context(), nil)
		files, err := d.Leftovers()
		if len(files) > 0 {
			left = errors.Join(left, fmt.Errorf("staging has %q", files))
		}
		return left == nil, err
	})
	if err != nil {
		t.Errorf("%v: %v", err, left)
	}
}
