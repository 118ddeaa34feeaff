package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hole is a service that takes requests and, while it is armed, answers none.
type hole struct {
	mu    sync.Mutex // guards the fields below
	armed func(*http.Request) bool
	held  int

	once sync.Once
	open chan struct{} // closed to let what is held go on
}

// holed is a service behind a hole, which lets all go with the test's end.
func holed(t *testing.T) (*hole, string) {
	t.Helper()
	h := &hole{open: make(chan struct{})}
	endpoint := service(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h.takes(r) {
				select {
				case <-h.open:
				case <-r.Context().Done():
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	t.Cleanup(h.release) // before the server closes: that waits for its requests
	return h, endpoint
}

// release lets what is held go on.
func (h *hole) release() { h.once.Do(func() { close(h.open) }) }

func (h *hole) takes(r *http.Request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.armed == nil || !h.armed(r) {
		return false
	}
	h.held++
	return true
}

// arm holds requests from now on.
func (h *hole) arm(which func(*http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.armed = which
}

// count is how many requests have been held.
func (h *hole) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

func all(*http.Request) bool       { return true }
func uploads(r *http.Request) bool { return r.Method == http.MethodPut }

// waiter is a program that waits for the mount.
type waiter struct {
	what string
	p    *os.Process
	done chan *os.ProcessState
}

// waiter starts a shell command in the test's directory; it must have ended before the
// test.
func (w *world) waiter(script string) *waiter {
	w.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer null.Close()
	how := &os.ProcAttr{Dir: w.dir, Env: w.env, Files: []*os.File{null, null, null}}
	if w.uid != os.Geteuid() {
		how.Sys = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(w.uid), Gid: uint32(w.uid)}}
	}
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, how)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &waiter{what: script, p: p, done: make(chan *os.ProcessState, 1)}
	go func() {
		state, _ := p.Wait() // without a state it failed
		a.done <- state
	}()
	return a
}

// end waits for the program's end, which must be no success.
func (a *waiter) end(t *testing.T) {
	t.Helper()
	select {
	case state := <-a.done:
		if state == nil || state.Success() {
			t.Errorf("%s: %v", a.what, state)
		}
	case <-time.After(patience):
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(a.p.Pid) + "/stat")
		t.Errorf("%s has not ended: %s, %v", a.what, stat, err)
	}
}

// full is a mount whose service does not answer, and programs that wait for it: a close
// for its upload, readers for an image, one who looks up a name, and a listing.
func (w *world) full() (m string, waiting []*waiter) {
	w.t.Helper()
	h, endpoint := holed(w.t)
	first := w.mounted(endpoint)
	w.mustSh("head -c 3000000 /dev/urandom > data; cp data m/there; cp data m/seen")
	w.mustRun("unmount", first)
	if err := os.RemoveAll(filepath.Join(w.dir, "cache")); err != nil {
		w.t.Fatal(err)
	}
	w.mustRun("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", first)
	w.mustSh("stat m/there m/seen")
	then := func(script string) {
		held := h.count()
		waiting = append(waiting, w.waiter(script))
		eventually(w.t, script+" waits for the service", func() bool { return h.count() > held })
	}
	h.arm(uploads)
	then("exec cp data m/new")
	h.arm(all)
	then("exec cat m/there")
	then("exec tail -c 10 m/seen")
	then("exec stat m/unknown")
	then("exec ls m")
	return first, waiting
}

// atOnce bounds what answers without the service: less than anything that waits for that
// one takes (10 seconds and more), and enough for a busy machine.
const atOnce = 8 * time.Second

// While the service takes requests and answers none, the mount itself answers.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, waiting := w.full()
	for range 2 { // the second time is after the request for the quota that df makes
		for what, ask := range map[string]func() error{
			"statfs": func() error { return unix.Statfs(m, new(unix.Statfs_t)) },
			"statx": func() error { // asks the daemon whatever the kernel knows
				return unix.Statx(unix.AT_FDCWD, m, unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL, new(unix.Statx_t))
			},
			"df":     func() error { _, err := w.sh("df m"); return err },
			"status": func() error { _, err := w.sh(w.program + " status m | grep 'upload .*new'"); return err },
		} {
			answered := make(chan error, 1)
			go func() { answered <- ask() }()
			select {
			case err := <-answered:
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			case <-time.After(atOnce):
				t.Errorf("%s waits for the service", what)
			}
		}
	}
	w.mustRun("unmount", "--force", m)
	for _, a := range waiting {
		a.end(t)
	}
}

// A killed daemon leaves nobody behind who cannot be ended: who waits for it gets an error
// at once, and the mountpoint can be used again.
func TestKilledDaemonLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	for how, then := range map[string]func(w *world, m string){
		"remount": func(w *world, m string) {
			w.mustRun("mount", "--endpoint", service(t, nil), "--staging-dir", w.dir+"/staging", m)
			w.mustSh("echo x > m/x; test $(cat m/x) = x")
			w.mustRun("unmount", m)
		},
		"unmount": func(w *world, m string) { w.mustRun("unmount", "--force", m); w.mustSh("rmdir m") },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			m, waiting := w.full()
			w.kill(m)
			for _, a := range waiting {
				a.end(t)
			}
			then(w, m)
		})
	}
}

// Of a stopped daemon: who has begun to wait since can be killed, all others end with
// unmount --force; and whoever asks for the daemon is told in seconds.
func TestStoppedDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, waiting := w.full()
	pid := w.mustAsk(m).PID
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool { return stopped(pid) })
	late := w.waiter("exec stat -f m")
	var told sync.WaitGroup
	for _, asks := range [][]string{
		{"status", m}, {"ls", m}, {"info", m + "/there"}, {"info", m + "/.by-id/3c1e0686-2f6e-4e6a-a5dd-8c89da11bcff"}, {"unmount", m},
	} {
		p := w.start(asks...)
		told.Go(func() { tellsOfStuck(t, p, m) })
	}
	told.Wait()
	w.mustFail(exitMountBusy, "mount", "--endpoint", "http://127.0.0.1:9", m)
	if err := late.p.Kill(); err != nil {
		t.Error(err)
	}
	late.end(t)
	w.mustRun("unmount", "--force", m)
	for _, a := range waiting {
		a.end(t)
	}
	if !ended(pid) {
		t.Error("the daemon is there still")
	}
	if drafts, err := filepath.Glob(filepath.Join(w.dir, "staging", "*", "*.data")); err != nil || len(drafts) != 1 {
		t.Errorf("drafts in staging: %v, %v", drafts, err)
	}
}

func tellsOfStuck(t *testing.T, p *running, m string) {
	_, stderr, code := p.end()
	if line := oneLineOf(t, stderr); code != exitNoDaemon || !strings.Contains(line, m+": its daemon does not answer within 5s") || !strings.Contains(line, "unmount --force "+m) {
		t.Errorf("%v: code %d: %s", p.cmd.Args[1:], code, stderr)
	}
}

// stopped reports whether all threads of a process have been stopped by a signal, as in
// proc(5): one that has not may still take a request, who waits for which cannot be killed.
func stopped(pid int) bool {
	threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	for _, path := range threads {
		stat, readErr := os.ReadFile(path)
		if readErr != nil || stat[strings.LastIndexByte(string(stat), ')')+2] != 'T' {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

// Who waits for more of an answer learns that the daemon is stuck, and waits as long as it
// is not.
func TestAttendedAnswers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked, stuck := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc(statusPath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck: // also where somebody waits to be asked
			<-r.Context().Done()
			return
		default:
		}
		select {
		case asked <- struct{}{}:
			_, _ = w.Write([]byte("{}"))
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc(entriesPath, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"entry":{"entry":"a"}}` + "\n"))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-asked:
			<-asked
			_, _ = w.Write([]byte(`{"end":true}` + "\n"))
		case <-r.Context().Done():
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	list := func() (n int, err error) {
		_, err = daemon{socket: path}.entries(t.Context(), listedSink{
			entry: func(listed) error { n++; return nil },
			pause: func() error { return nil },
		})
		return n, err
	}
	if n, err := list(); err != nil || n != 1 {
		t.Errorf("of a slow one: %d entries, %v", n, err)
	}
	close(stuck)
	if n, err := list(); !errors.Is(err, errStuck) || n != 1 {
		t.Errorf("of a stuck one: %d entries, %v", n, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
