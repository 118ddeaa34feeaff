package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// gate holds every upload until it is opened.
type gate struct {
	once sync.Once
	open chan struct{}
}

// gatedService is a service behind a gate, which opens with the test's end.
func gatedService(t *testing.T) (*gate, string) {
	t.Helper()
	g := &gate{open: make(chan struct{})}
	endpoint := service(t, g.wrap)
	t.Cleanup(g.release) // before the server closes: that waits for its requests
	return g, endpoint
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/file") {
			select {
			case <-g.open:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// uploading begins a copy into the mount and returns when its upload is under way.
func (w *world) uploading(m string) {
	w.t.Helper()
	w.mustSh("echo data > big; (cp big m/big.img; echo $? > copied) >/dev/null 2>&1 &")
	eventually(w.t, "the upload begins", func() bool { s, err := w.ask(m); return err == nil && len(s.Uploads) == 1 })
}

// Of two that unmount at once, the later one finds the mount gone, which is what it wants.
func TestUnmountOfWhatHasJustGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mounted(service(t, nil))
	found, err := findTarget(m)
	if err != nil {
		t.Fatal(err)
	}
	w.mustRun("unmount", m)
	for _, lazy := range []bool{false, true} {
		if err := found.detach(t.Context(), lazy); err != nil {
			t.Error(err)
		}
	}
	if err := found.fusermount(t.Context(), false); err != nil {
		t.Error(err)
	}
}

func TestUnmountWaitsForUploads(t *testing.T) {
	t.Parallel()
	g, endpoint := gatedService(t)
	w := newWorld(t)
	m := w.mounted(endpoint)
	w.uploading(m)

	// Ctrl-C ends the waiting and nothing else.
	p := w.start("unmount", m)
	eventually(t, "unmount says what it waits for", func() bool { return strings.Contains(p.err.String(), "waiting for the upload of big.img") })
	p.signal(unix.SIGINT)
	if _, stderr, code := p.end(); code != exitInterruptedBy || !strings.Contains(stderr, "is still mounted") || !isMounted(t, m) {
		t.Fatalf("code %d: %s", code, stderr)
	}

	p = w.start("unmount", m)
	eventually(t, "unmount waits", func() bool { return strings.Contains(p.err.String(), "waiting") })
	g.release()
	if _, stderr, code := p.end(); code != exitOK || strings.Count(stderr, "\n") != 1 {
		t.Errorf("code %d: %q", code, stderr)
	}
	eventually(t, "cp ends", func() bool { return w.mustSh("cat copied 2>/dev/null || true") == "0\n" })
	if isMounted(t, m) {
		t.Error("still mounted")
	}
}

func TestUnmountForce(t *testing.T) {
	t.Parallel()
	_, endpoint := gatedService(t)
	w := newWorld(t)
	m := w.mounted(endpoint)
	w.uploading(m)
	pid := w.mustAsk(m).PID
	if _, stderr, code := w.run("unmount", "--force", m); code != exitOK || stderr != "" {
		t.Errorf("code %d: %s", code, stderr)
	}
	if isMounted(t, m) || !ended(pid) {
		t.Error("unmount --force left the mount or its daemon")
	}
	eventually(t, "cp fails", func() bool { return w.mustSh("cat copied 2>/dev/null || true") == "1\n" })
	drafts, err := filepath.Glob(filepath.Join(w.dir, "staging", "*", "*.data"))
	if err != nil || len(drafts) != 1 {
		t.Errorf("drafts in staging: %v, %v", drafts, err)
	}
	if left := imagesOf(t, endpoint); left != 0 {
		t.Errorf("%d records are left in the service", left)
	}
}

// A daemon that is stuck is killed.
func TestUnmountForceStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mounted(service(t, nil))
	pid := w.mustAsk(m).PID
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := w.run("unmount", "--force", m); code != exitOK || stderr != "" {
		t.Errorf("code %d: %s", code, stderr)
	}
	if isMounted(t, m) || !ended(pid) {
		t.Error("unmount --force left the mount or its daemon")
	}
}

// imagesOf counts all records of a service, hidden ones too.
func imagesOf(t *testing.T, endpoint string) int {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := 0
	for _, hidden := range []bool{false, true} {
		_, err := c.List(t.Context(), client.Filter{Hidden: hidden}, func(page []image.Image) error {
			n += len(page)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestUnmountBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mounted(service(t, nil))
	w.mustSh("echo x > m/x")
	user := w.holder(m)
	_, stderr, code := w.run("unmount", m)
	if line := oneLineOf(t, stderr); code != exitUnmountBusy || !strings.Contains(line, "in use by sleep (pid ") {
		t.Errorf("code %d: %s", code, stderr)
	}
	if err := user.Kill(); err != nil {
		t.Fatal(err)
	}
	w.mustRun("unmount", m)
}

// An upload for which no close waits keeps no mount busy: what does is named soon.
func TestUnmountBusyBesideUpload(t *testing.T) {
	t.Parallel()
	_, endpoint := gatedService(t)
	w := newWorld(t)
	m := w.mounted(endpoint, "--writeback")
	w.mustSh("echo data > m/behind.img")
	eventually(t, "the upload begins", func() bool { s, err := w.ask(m); return err == nil && len(s.Uploads) == 1 })
	user := w.holder(m)
	if said := w.mustFail(exitUnmountBusy, "unmount", m); !strings.Contains(oneLineOf(t, said), "in use by sleep (pid ") {
		t.Errorf("it says %s", said)
	}
	if err := user.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestForegroundSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := service(t, nil)
	m := w.mkdir("m")
	w.cleanMount(m)
	start := func() *running {
		p := w.start("mount", "--foreground", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", m)
		eventually(t, "mounted", func() bool { return isMounted(t, m) })
		return p
	}
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM} {
		p := start()
		p.signal(s)
		if _, stderr, code := p.end(); code != exitOK || !strings.Contains(stderr, "msg=unmounted") || isMounted(t, m) {
			t.Errorf("%s: code %d: %s", s, code, stderr)
		}
	}

	// A working directory in the mount keeps nobody waiting; it has no bytes.
	p := start()
	w.holder(m)
	p.signal(unix.SIGTERM)
	if _, stderr, code := p.end(); code != exitOK || isMounted(t, m) {
		t.Errorf("with a working directory: code %d: %s", code, stderr)
	}

	// An open file does, until the second signal.
	p = start()
	w.mustSh("echo x > m/x; sleep 60 < m/x >/dev/null 2>&1 & echo $! > pid")
	t.Cleanup(func() { w.mustSh("kill $(cat pid)") })
	eventually(t, "the file is open", func() bool { return w.mustAsk(m).Handles == 1 })
	p.signal(unix.SIGTERM)
	eventually(t, "it is detached", func() bool { return !isMounted(t, m) })
	p.signal(unix.SIGTERM)
	if _, stderr, code := p.end(); code != exitInterruptedBy || !strings.Contains(stderr, "ended without waiting") {
		t.Errorf("second signal: code %d: %s", code, stderr)
	}
}

// An end that does not wait for open files leaves all that was written to them in
// staging, also of a file that is edited in place.
func TestEndWithoutWaitingKeepsEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint, staged := service(t, nil), w.dir+"/staging"
	m := w.mkdir("m")
	w.cleanMount(m)
	p := w.start("mount", "--foreground", "--endpoint", endpoint, "--staging-dir", staged, "--stop-timeout", "1s", m)
	eventually(t, "mounted", func() bool { return isMounted(t, m) })
	w.mustSh("printf 0123456789 > m/disk")
	w.mustSh("(exec 1<>m/disk; printf abc; exec sleep 60) 2>/dev/null & echo $! > pid")
	t.Cleanup(func() { w.mustSh("kill $(cat pid)") })
	eventually(t, "it is written", func() bool { text, err := w.sh("cat m/disk"); return err == nil && text == "abc3456789" })
	p.signal(unix.SIGTERM)
	if _, stderr, code := p.end(); code != exitInterruptedBy {
		t.Errorf("code %d: %s", code, stderr)
	}
	var kept []struct{ Draft string }
	if err := json.Unmarshal([]byte(w.mustRun("staged", "list", "--staging-dir", staged, "--json")), &kept); err != nil || len(kept) != 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	w.mustRun("staged", "export", "--staging-dir", staged, kept[0].Draft, w.dir+"/out")
	if text := w.mustSh("cat out"); text != "abc3456789" {
		t.Errorf("exported %q", text)
	}
}

// holder has its working directory in the mount until the test ends.
func (w *world) holder(m string) *os.Process {
	w.t.Helper()
	program, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{Dir: m})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = program.Kill() // the test may have done it
		if _, err := program.Wait(); err != nil {
			w.t.Error(err)
		}
	})
	return program
}
