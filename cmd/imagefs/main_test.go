package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/imageserver"
)

// actAsProgram in the environment makes the test binary the program itself, so
// that a daemon that starts itself again is tested too.
const actAsProgram = "IMAGEFS_TEST_ACT_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(actAsProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// world is where one test runs the program: directories of its own, nothing of
// the caller's clouds.
type world struct {
	t       *testing.T
	dir     string
	program string
	env     []string
	uid     int // whom the program runs as
	// terminal is what the program has as its own, as its stdin; nil for none, wherever the tests run.
	terminal *os.File
}

// patience bounds every program that a test runs.
const patience = 30 * time.Second

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, program: program, uid: os.Geteuid()}
	w.env = []string{
		actAsProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir,
		"OS_CLIENT_CONFIG_FILE=" + filepath.Join(dir, "clouds.yaml"),
		"XDG_STATE_HOME=" + filepath.Join(dir, "state"), "XDG_RUNTIME_DIR=" + dir,
		"IMAGEFS_CACHE_DIR=" + filepath.Join(dir, "cache"),
		"GORACE=atexit_sleep_ms=0", // else each program under -race takes a second to end
	}
	return w
}

// asUser makes the program run as somebody without privileges; when the tests do
// so anyway, nothing changes.
func (w *world) asUser() *world {
	w.t.Helper()
	if w.uid != 0 {
		return w
	}
	const nobody = 65534
	w.uid = nobody
	own := filepath.Join(w.dir, "program") // the test binary's own directory is closed to others
	// By another process: what this one has open for writing, a program that another test
	// starts just then has, too, for a moment, and such a file cannot be run (ETXTBSY).
	if out, err := exec.CommandContext(w.t.Context(), "install", "-m", "755", w.program, own).CombinedOutput(); err != nil {
		w.t.Fatalf("install: %v: %s", err, out)
	}
	w.program = own
	for dir := w.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.Chown(w.dir, nobody, nobody); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// mkdir makes a directory that belongs to whom the program runs as.
func (w *world) mkdir(name string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chown(path, w.uid, w.uid); err != nil && os.Geteuid() == 0 {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// secret is write for a file that only its owner can read.
func (w *world) secret(name, text string) string {
	w.t.Helper()
	path := w.write(name, text)
	if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, w.uid, w.uid)); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// start starts the program and ends it with the test at the latest.
func (w *world) start(args ...string) *running {
	w.t.Helper()
	p := &running{t: w.t, cmd: exec.Command(w.program, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = w.dir, w.env
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if w.terminal != nil {
		p.cmd.Stdin, p.cmd.SysProcAttr.Setctty = w.terminal, true
	}
	if w.uid != os.Geteuid() {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(w.uid), Gid: uint32(w.uid)}
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.waited = p.cmd.Wait()
	}()
	w.t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				w.t.Error(err)
			}
			<-p.done
		}
	})
	return p
}

// run runs the program to its end.
func (w *world) run(args ...string) (stdout, stderr string, code exitCode) {
	w.t.Helper()
	return w.start(args...).end()
}

// sh runs a shell command as whom the program runs as, in the test's directory.
func (w *world) sh(script string) (string, error) {
	w.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env, cmd.WaitDelay = w.dir, w.env, patience
	if w.uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(w.uid), Gid: uint32(w.uid)}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustSh runs a shell command that must succeed.
func (w *world) mustSh(script string) string {
	w.t.Helper()
	out, err := w.sh(script)
	if err != nil {
		w.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return out
}

// mustRun runs the program, which must succeed, and returns its output.
func (w *world) mustRun(args ...string) string {
	w.t.Helper()
	out, stderr, code := w.run(args...)
	if code != exitOK {
		w.t.Fatalf("imagefs %v: code %d: %s", args, code, stderr)
	}
	return out
}

// running is a program that runs.
type running struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err lockedBuffer
	done     chan struct{}
	waited   error
}

func (p *running) end() (stdout, stderr string, code exitCode) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%v has not ended in %s: %s", p.cmd.Args, patience, p.err.String())
	}
	var failed *exec.ExitError
	if p.waited != nil && !errors.As(p.waited, &failed) {
		p.t.Fatal(p.waited)
	}
	return p.out.String(), p.err.String(), exitCode(p.cmd.ProcessState.ExitCode())
}

func (p *running) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// eventually waits for a condition of another process; nothing announces it.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// service is an embedded server for the program; wrap may be nil.
func service(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	server, err := imageserver.New(imageserver.Options{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler = server
	if wrap != nil {
		handler = wrap(server)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL
}

// oneLineOf checks that stderr is one line of imagefs and returns it.
func oneLineOf(t *testing.T, stderr string) string {
	t.Helper()
	line, rest, ok := strings.Cut(stderr, "\n")
	if !ok || rest != "" || !strings.HasPrefix(line, "imagefs: ") {
		t.Errorf("not one line of imagefs: %q", stderr)
	}
	return line
}

// lockedBuffer may be read while a program writes into it.
type lockedBuffer struct {
	mu sync.Mutex // guards the field below
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// mustFail runs the program, which must fail with the code, and returns what it says.
func (w *world) mustFail(code exitCode, args ...string) string {
	w.t.Helper()
	_, stderr, got := w.run(args...)
	if got != code {
		w.t.Errorf("imagefs %v: code %d, want %d: %s", args, got, code, stderr)
	}
	return stderr
}
