package several

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
)

var (
	seed  = flag.Uint64("seed", 1, "what the processes do follows from it")
	ops   = flag.Int("ops", 150, "operations of each process")
	count = flag.Int("processes", 4, "how many of them")
)

// binary is the imagefs under test.
var binary string

// operationLimit is what an operation of a process takes at most, on the average: one that
// commits takes some 20 ms on a quiet machine.
const operationLimit = time.Second

// orders is the variable of the environment by which a process knows that it is one of
// the several, and what it is to do.
const orders = "IMAGEFS_SEVERAL"

func TestMain(m *testing.M) {
	flag.Parse()
	if text := os.Getenv(orders); text != "" {
		var w worker
		err := json.Unmarshal([]byte(text), &w)
		if err == nil {
			err = w.work()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	daemon.Main(&binary, func(string) (int, error) { return m.Run(), nil })
}

// Several processes do random things at once: to files of their own, and in turn to some
// that all of them use. Each sees at once what the others have done, and in the end the
// mount and the service have what a plain directory has.
func TestProcesses(t *testing.T) {
	root := t.TempDir()
	s := daemon.Serve(t, filepath.Join(root, "served"))
	local := filepath.Join(root, "local")
	if err := os.Mkdir(local, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, name := range shared[:2] { // that are there when the mount comes
		data := pattern(byte(i), 200_000)
		if err := os.WriteFile(filepath.Join(local, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Upload(t.Context(), image.New{Name: name}, data); err != nil {
			t.Fatal(err)
		}
	}
	d := daemon.Run(t, binary, root, "--endpoint", s.URL())
	ctx, cancel := context.WithTimeout(t.Context(), daemon.Patience+time.Duration(*ops)*operationLimit)
	defer cancel()
	var all sync.WaitGroup
	for i := range *count {
		w := worker{Number: i, Seed: *seed, Ops: *ops, Mount: d.Mountpoint, Local: local, Turn: filepath.Join(root, "turn")}
		text, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // it says where it waits
			cmd.WaitDelay = 5 * time.Second                                          // for that; then it is killed
			cmd.Env = append(os.Environ(), orders+"="+string(text))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v:\n%s", i, err, out)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	want, err := contents(local)
	if err != nil {
		t.Fatal(err)
	}
	got, err := contents(d.Mountpoint)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if at := daemon.FirstDifference(got[name], want[name]); at >= 0 {
			t.Errorf("%s has %d bytes, want %d; they differ at %d", name, len(got[name]), len(want[name]), at)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the mount has %q, a directory %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	if err := errors.Join(d.Settled(0), d.Unmount(), s.Holds(t.Context(), want)); err != nil {
		t.Error(err)
	}
	if found := d.Complaints(); len(found) > 0 {
		t.Errorf("the log complains: %q", found)
	}
	t.Logf("%d files are left", len(want))
}

// contents are the files of a directory.
func contents(dir string) (map[string][]byte, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, e := range list {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}
