package fs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// shell runs a script in the mount until the test ends it.
func shell(t *testing.T, m *mounted, script string) (cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	cmd = exec.Command("sh", "-c", script)
	cmd.Dir = m.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, soon(func() error {
		err := cmd.Wait()
		if out.Len() > 0 {
			t.Logf("%s: %s", script, out.String())
		}
		return err
	})
}

// endedBy checks that a process was ended by a signal.
func endedBy(t *testing.T, err error, want syscall.Signal) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("it ended with %v, want signal %v", err, want)
	}
	if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != want {
		t.Errorf("it ended with %v, want signal %v", err, want)
	}
}

// A signal that does not mean stop ends nothing; one that does frees the process
// within seconds, and nothing is published.
func TestSignalsToABlockedClose(t *testing.T) {
	for name, stop := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			h := newHouse()
			g := newGate("commit", "new")
			h.hook = g.hold
			m := mountHouse(t, h)
			cmd, ended := shell(t, m, "trap : ALRM; exec 3>new; echo data >&3; exec 3>&-; echo not reached")
			g.wait(t)
			for _, harmless := range []syscall.Signal{syscall.SIGALRM, syscall.SIGSTOP, syscall.SIGCONT} {
				if err := cmd.Process.Signal(harmless); err != nil {
					t.Fatal(err)
				}
			}
			select { // it looks once at once, and again after a second
			case err := <-ended:
				t.Fatalf("a signal that is not meant to stop it ended it: %v", err)
			case <-time.After(lookAgain + lookAgain/4):
			}
			if err := cmd.Process.Signal(stop); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			endedBy(t, result(t, ended), stop)
			if took := time.Since(began); took > 4*lookAgain {
				t.Errorf("it was free after %v", took)
			}
			m.settled()
			m.absent("new")
			if ends := m.ends(); m.count() != 0 || ends["abandoned"] != 1 {
				t.Errorf("%d images, drafts ended %v", m.count(), ends)
			}
		})
	}
}

// A process that waits in the kernel is being ended already when SIGKILL waits for it: so
// looks one whose fork was given up, and that closes what its child would have had.
func TestDoomedInTheKernel(t *testing.T) {
	h := newHouse()
	g, away := newGate("commit", "new"), make(chan struct{})
	h.hook = func(ctx context.Context, op, what string) error {
		err := g.hold(ctx, op, what)
		if err != nil {
			<-away
		}
		return err
	}
	m := mountHouse(t, h)
	cmd, ended := shell(t, m, "exec >new; echo data; exec >&-")
	g.wait(t)
	tid := uint32(cmd.Process.Pid)
	if killed, _ := killedBySignal(tid); killed {
		t.Error("it counts as killed before it is")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.eventually("it to count as killed", func() bool { killed, sure := killedBySignal(tid); return killed && sure })
	close(away)
	endedBy(t, result(t, ended), syscall.SIGKILL)
	m.settled()
}

// A program that catches the signal and closes the file once more publishes.
func TestClosedAgainAfterASignal(t *testing.T) {
	h := newHouse()
	g := newGate("commit", "new")
	h.hook = g.hold
	m := mountHouse(t, h)
	// The shell closes a duplicate behind the echo.
	cmd, ended := shell(t, m, "trap : INT; exec 3>new; echo data >&3; exec 3>&-")
	g.wait(t)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := result(t, ended); err != nil {
		t.Error(err)
	}
	m.settled()
	if got := m.content("new"); got != "data\n" {
		t.Errorf("the image has %q, drafts ended %v", got, m.ends())
	}
}

// Nor does Ctrl-C of one close end what another one has written.
func TestInterruptedBesideAGoodWriter(t *testing.T) {
	h := newHouse()
	g := newGate("commit", "new")
	h.hook = g.hold
	m := mountHouse(t, h)
	f := must(os.Create(m.path("new")))
	must(f.WriteString("good "))
	cmd, ended := shell(t, m, "exec >>new; echo data; exec >&-")
	g.wait(t)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	endedBy(t, result(t, ended), syscall.SIGINT)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	m.settled()
	if got := m.content("new"); got != "good data\n" {
		t.Errorf("the image has %q, drafts ended %v", got, m.ends())
	}
}

func TestSignalsToABlockedRead(t *testing.T) {
	h := newHouse()
	disk := h.add("disk", "0123456789")
	g := newGate("read", disk.ID)
	h.hook = g.hold
	m := mountHouse(t, h)
	cmd, ended := shell(t, m, "exec cat disk")
	g.wait(t)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	endedBy(t, result(t, ended), syscall.SIGINT)
	// The kernel frees who waits for a page, and lets the read of it go on.
	close(g.open)
	m.want("disk", "0123456789")
}

// Who waits for its turn and is told to stop publishes nothing later either.
func TestInterruptedBeforeItsTurn(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123")
	renaming := newGate("rename", "new")
	h.hook = renaming.hold
	m := mountHouse(t, h)
	m.want("disk", "0123")
	cmd := exec.Command("sh", "-c", "exec 1<>disk; echo x; read go; exec >&-")
	cmd.Dir = m.dir
	in := must(cmd.StdinPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "disk")))
	m.eventually("its bytes", func() bool { _, d := n.now(); return d != nil && d.bytes.Written() })
	renamed := soon(func() error { return m.server.fs.root.rename(context.Background(), "disk", "new", false) })
	renaming.wait(t)
	must(in.Write([]byte("\n")))
	m.eventually("the close to wait", func() bool { return blockedIn(cmd.Process.Pid, "request_wait_answer") })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	endedBy(t, result(t, soon(cmd.Wait)), syscall.SIGINT)
	close(renaming.open)
	if err := result(t, renamed); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if ends := m.ends(); ends["abandoned"] != 1 || m.content("new") != "0123" {
		t.Errorf("drafts ended %v, the image has %q", ends, m.content("new"))
	}
}

// truncatorEnv makes this binary the child that truncates the named file to two bytes,
// by truncate(2).
const truncatorEnv = "IMAGEFS_TEST_TRUNCATOR"

// A truncation by path is told to stop as a close is.
func TestInterruptedTruncation(t *testing.T) {
	h := newHouse()
	h.add("disk", "0123")
	renaming := newGate("rename", "new")
	h.hook = renaming.hold
	m := mountHouse(t, h)
	f := must(os.OpenFile(m.path("disk"), os.O_RDWR, 0))
	n := m.node("disk")
	renamed := soon(func() error { return m.server.fs.root.rename(context.Background(), "disk", "new", false) })
	renaming.wait(t)
	child := exec.Command(must(os.Executable()))
	child.Env = append(os.Environ(), truncatorEnv+"="+m.path("disk"))
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	m.eventually("the truncation", func() bool { _, d := n.now(); return d.bytes.Size() == 2 })
	if err := child.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	endedBy(t, result(t, soon(child.Wait)), syscall.SIGINT)
	close(renaming.open)
	if err := errors.Join(result(t, renamed), f.Close()); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if ends := m.ends(); ends["abandoned"] != 1 || m.content("new") != "0123" {
		t.Errorf("drafts ended %v, the image has %q", ends, m.content("new"))
	}
}

// A writer that a signal ends publishes nothing; its draft is kept if it has bytes.
func TestKilledWriter(t *testing.T) {
	for _, c := range []struct {
		name, script string
		signal       syscall.Signal
		end          string
		existing     bool
	}{
		{"killed", "exec >f; echo half; kill -KILL $$", syscall.SIGKILL, "abandoned", false},
		{"terminated", "exec >f; echo half; kill -TERM $$", syscall.SIGTERM, "abandoned", false},
		{"interrupted", "exec >f; echo half; kill -INT $$", syscall.SIGINT, "abandoned", false},
		{"before a byte", "exec 3>f; kill -KILL $$", syscall.SIGKILL, "discarded", false},
		{"overwriting", "exec >f; echo half; kill -KILL $$", syscall.SIGKILL, "abandoned", true},
		{"truncating", "exec 3>f; kill -KILL $$", syscall.SIGKILL, "discarded", true},
		{"editing", "exec 1<>f; echo half; kill -KILL $$", syscall.SIGKILL, "abandoned", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse()
			if c.existing {
				h.add("f", "what was there")
			}
			m := mountHouse(t, h)
			_, ended := shell(t, m, c.script)
			endedBy(t, result(t, ended), c.signal)
			m.settled()
			if n := m.did("commit", "f") + m.did("commit empty", "f"); n != 0 {
				t.Errorf("it was committed %d times", n)
			}
			if ends := m.ends(); ends[c.end] != 1 {
				t.Errorf("drafts ended %v, want one %s", ends, c.end)
			}
			if !c.existing { // the kernel is told behind the end of the draft
				m.eventually("the entry to go", func() bool { return os.IsNotExist(second(os.Lstat(m.path("f")))) })
				return
			}
			m.eventually("the old bytes", func() bool {
				n := m.server.fs.nodeOf(must(m.Lookup(t.Context(), "f")))
				img, d := n.now()
				return d == nil && img.Size == int64(len("what was there"))
			})
		})
	}
}

// A killed writer does not take with it what another one closes in good order.
func TestKilledBesideAGoodWriter(t *testing.T) {
	h := newHouse()
	var mu sync.Mutex
	var callers []image.Caller
	h.hook = func(ctx context.Context, op, _ string) error {
		if caller, ok := image.CallerOf(ctx); ok && op == "commit" {
			mu.Lock()
			callers = append(callers, caller)
			mu.Unlock()
		}
		return nil
	}
	m := mountHouse(t, h)
	_, ended := shell(t, m, "exec >f; echo good; sh -c 'exec 4>>f; kill -KILL $$'; exec >&-")
	if err := result(t, ended); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.want("f", "good\n")
	mu.Lock()
	defer mu.Unlock()
	if len(callers) != 1 || callers[0].Command != "sh" {
		t.Errorf("the commit was made for %v", callers)
	}
}

// What a close was answered for and was not uploaded yet is never thrown away because
// a writer that came later was killed, and the log says so.
func TestKilledOverAnAnsweredClose(t *testing.T) {
	for name, later := range map[string]string{"append": "exec >>f", "overwrite": "exec >f"} {
		t.Run(name, func(t *testing.T) {
			h, _ := awayHouse()
			m := mountHouse(t, h, quickly)
			m.write("f", "answered")
			_, ended := shell(t, m, later+"; echo more; kill -KILL $$")
			endedBy(t, result(t, ended), syscall.SIGKILL)
			m.settled()
			m.absent("f")
			if ends := m.ends(); ends["abandoned for good"] != 1 {
				t.Errorf("drafts ended %v", ends)
			}
			if !strings.Contains(m.logged.text(), "whose close was answered") {
				t.Errorf("log:\n%s", m.logged.text())
			}
		})
	}
}
