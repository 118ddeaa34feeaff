package fs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"go.uber.org/goleak"
)

// children are what this binary does as a child of its tests, by the variable that names
// the file: what must not be done by the process that serves the mount, or by one that is
// to be ended.
var children = map[string]func(path string) error{
	mapperEnv: mapAndWrite, twiceEnv: mapAndOpenAgain, toucherEnv: touchMapping,
	openMapperEnv: func(path string) error { return mapAndDie(path, false) },
	deadMapperEnv: func(path string) error { return mapAndDie(path, true) },
	truncatorEnv:  func(path string) error { return os.Truncate(path, 2) },
	endsOpenEnv:   endsOpen,
}

func TestMain(m *testing.M) {
	for env, act := range children {
		if path := os.Getenv(env); path != "" {
			if err := act(path); err != nil {
				panic(err)
			}
			return
		}
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of the tests; nothing is expected to take so long.
const patience = 10 * time.Second

// mounted is a house at a mount point.
type mounted struct {
	*house
	t      *testing.T
	dir    string
	server *Server
	logged *logLines
	rescue *time.Timer
}

// mountHouse mounts until the end of the test; then every handle must be closed,
// every draft ended and every reader closed.
func mountHouse(t *testing.T, h *house, change ...func(*Options)) *mounted {
	t.Helper()
	m := mountHouseFor(t, h, change...)
	t.Cleanup(m.unmount)
	return m
}

// mountHouseFor mounts until the caller unmounts.
func mountHouseFor(t *testing.T, h *house, change ...func(*Options)) *mounted {
	t.Helper()
	m := &mounted{house: h, t: t, dir: t.TempDir(), logged: &logLines{}}
	opts := Options{Project: "ours", Source: "house", UID: 1000, GID: 1000, Log: slog.New(slog.NewTextHandler(m.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&opts)
	}
	server, err := Mount(t.Context(), m.dir, h.rooms(), opts)
	if err != nil {
		t.Fatal(err)
	}
	m.server = server
	// A process that dies with requests to itself in the kernel never ends.
	m.rescue = time.AfterFunc(2*patience, func() {
		stacks := pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		t.Errorf("the test hangs: %v", errors.Join(stacks, syscall.Unmount(m.dir, syscall.MNT_FORCE)))
	})
	return m
}

func (m *mounted) unmount() {
	defer m.rescue.Stop()
	defer m.detach()
	m.eventually("all handles to be closed", func() bool { return m.server.OpenHandles() == 0 })
	if mounted, err := mountinfo.Mounted(m.dir); err != nil || mounted {
		if err := m.server.Unmount(); err != nil {
			m.t.Error(err)
			return
		}
	}
	ended := make(chan struct{})
	go func() { m.server.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		m.t.Fatal("the mount does not end")
	}
	for how, n := range m.ends() {
		if how == "" || how == "closed" {
			m.t.Errorf("%d drafts were %q in the end", n, how)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readers != 0 {
		m.t.Errorf("%d readers are open in the end", m.readers)
	}
	if n := m.views.Load(); n != 0 {
		m.t.Errorf("%d reads have not given up their bytes", n)
	}
	if len(m.overlay) != 0 {
		m.t.Errorf("drafts are shown in the end: %v", m.overlay)
	}
	if m.t.Failed() {
		m.t.Logf("log:\n%s", m.logged.text())
	}
}

// detach takes away what a failed test has left mounted.
func (m *mounted) detach() {
	if is, err := mountinfo.Mounted(m.dir); err == nil && !is {
		return
	}
	if err := syscall.Unmount(m.dir, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil {
		m.t.Error(err)
	}
}

func (m *mounted) path(name string) string { return filepath.Join(m.dir, name) }

// eventually waits for what happens beside the test.
func (m *mounted) eventually(what string, is func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("waited in vain for %s; log:\n%s", what, m.logged.text())
		}
	}
}

// settled waits until no draft is left behind any node.
func (m *mounted) settled() {
	m.t.Helper()
	m.eventually("drafts to end", func() bool {
		m.server.fs.mu.Lock()
		defer m.server.fs.mu.Unlock()
		return len(m.server.fs.drafts) == 0
	})
}

// write makes or overwrites a file as cp does.
func (m *mounted) write(name, data string) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(data), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// want checks what a file reads as.
func (m *mounted) want(name, data string) {
	m.t.Helper()
	got, err := os.ReadFile(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	if string(got) != data {
		m.t.Fatalf("%s reads as %q, want %q", name, got, data)
	}
}

// absent checks that there is no such entry.
func (m *mounted) absent(name string) {
	m.t.Helper()
	if _, err := os.Lstat(m.path(name)); !errors.Is(err, os.ErrNotExist) {
		m.t.Fatalf("%s is there (%v)", name, err)
	}
}

// wantErr checks an error's errno.
func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// gate holds one operation until it is opened.
type gate struct {
	op, what string
	came     chan struct{} // closed when the operation is there
	open     chan struct{} // close it to let the operation go on
	once     sync.Once
	err      error // what the operation then returns
}

func newGate(op, what string) *gate {
	return &gate{op: op, what: what, came: make(chan struct{}), open: make(chan struct{})}
}

// hold is a hook: the first such operation waits, with its ctx.
func (g *gate) hold(ctx context.Context, op, what string) error {
	if op != g.op || g.what != "" && what != g.what {
		return nil
	}
	first := false
	g.once.Do(func() { first = true })
	if !first {
		return nil
	}
	close(g.came)
	select {
	case <-g.open:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait waits until the operation is there.
func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.came:
	case <-time.After(patience):
		t.Fatalf("%s %s never came", g.op, g.what)
	}
}

// soon runs f aside and returns its result's channel.
func soon(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// result waits for soon's result.
func result(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("it never ended")
		return nil
	}
}

// logLines is what the filesystem logged.
type logLines struct {
	mu sync.Mutex // guards the field below
	b  strings.Builder
}

// Write appends.
func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
