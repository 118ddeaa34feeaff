package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/imageserver"
	"github.com/imagefs/imagefs/metrics"
)

// mounted mounts the service in the background and unmounts with the test at the
// latest.
func (w *world) mounted(endpoint string, flags ...string) (mountpoint string) {
	w.t.Helper()
	mountpoint = w.mkdir("m")
	w.cleanMount(mountpoint)
	w.mustRun(append([]string{"mount", "--endpoint", endpoint, "--staging-dir", w.dir + "/staging"}, append(flags, mountpoint)...)...)
	return mountpoint
}

// cleanMount removes with the test what is left of a mount there.
func (w *world) cleanMount(mountpoint string) {
	w.t.Cleanup(func() {
		host := configHost()
		if err := os.Remove(logPath(host, mountpoint)); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Error(err)
		}
		if m, err := topMount(mountpoint); err != nil || m == nil {
			return
		}
		var pid int
		if s, err := w.ask(mountpoint); err == nil {
			pid = s.PID
		}
		if _, stderr, code := w.run("unmount", "--force", mountpoint); code != exitOK {
			w.t.Errorf("the mount is left behind: %s", stderr)
		}
		if pid != 0 {
			eventually(w.t, "the daemon ends", func() bool { return ended(pid) })
		}
	})
}

func (w *world) ask(mountpoint string) (metrics.Snapshot, error) {
	w.t.Helper()
	var s metrics.Snapshot
	out, stderr, code := w.run("status", "--json", mountpoint)
	if code != exitOK {
		return s, errors.New(stderr)
	}
	return s, json.Unmarshal([]byte(out), &s)
}

func (w *world) mustAsk(mountpoint string) metrics.Snapshot {
	w.t.Helper()
	s, err := w.ask(mountpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// ended reports whether a process is gone, or is a zombie that nobody waits for.
func ended(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(text), ") Z ")
}

func isMounted(t *testing.T, path string) bool {
	t.Helper()
	m, err := topMount(path)
	if err != nil {
		t.Fatal(err)
	}
	return m != nil
}

// The daily life of a mount, as root where the tests are root, and as a user.
func TestMountLife(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*world) *world{
		"self": func(w *world) *world { return w },
		"user": (*world).asUser,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := prepare(newWorld(t))
			endpoint := service(t, nil)
			m := w.mounted(endpoint)

			s := w.mustAsk(m)
			if s.Mountpoint != m || s.State != metrics.StateMounted || !strings.HasPrefix(s.Service.URL, endpoint) || int(s.Options.UID) != w.uid {
				t.Errorf("status %+v", s)
			}
			w.mustSh("echo hello > m/a.txt && grep -q hello m/a.txt && ls m | grep -qx a.txt")
			mounts := w.mustSh("grep ' " + m + " ' /proc/self/mounts")
			if !strings.HasPrefix(mounts, endpoint) || !strings.Contains(mounts, " fuse.imagefs ") {
				t.Errorf("in the mount table: %s", mounts)
			}
			if text := w.mustRun("status", m); !strings.Contains(text, "1 image") {
				t.Errorf("status: %s", text)
			}
			w.tellsPassthrough(m, "a.txt")
			cwd, err := os.Readlink("/proc/" + strconv.Itoa(s.PID) + "/cwd")
			if err != nil || cwd != "/" {
				t.Errorf("the daemon's directory is %q, %v", cwd, err)
			}
			if _, stderr, code := w.run("mount", "--endpoint", endpoint, m); code != exitMountBusy {
				t.Errorf("mounted twice: code %d, %s", code, stderr)
			} else {
				oneLineOf(t, stderr)
			}
			w.mustRun("unmount", m)
			if isMounted(t, m) || !ended(s.PID) {
				t.Error("unmount returned before everything had ended")
			}
			if _, stderr, code := w.run("unmount", m); code != exitNotMounted {
				t.Errorf("unmounted twice: code %d, %s", code, stderr)
			}
			log, err := os.ReadFile(s.LogFile)
			if err != nil || !strings.Contains(string(log), "msg=mounted") || !strings.Contains(string(log), "msg=unmounted") {
				t.Errorf("log: %v\n%s", err, log)
			}
		})
	}
}

// tellsPassthrough checks that status says of passthrough what the log says, and
// counts the handles.
func (w *world) tellsPassthrough(m, file string) {
	w.t.Helper()
	s := w.mustAsk(m)
	log, err := os.ReadFile(s.LogFile)
	if err != nil {
		w.t.Fatal(err)
	}
	says := s.Passthrough.Reason
	if s.Passthrough.On {
		says = "read directly (passthrough)"
	}
	if says == "" || !strings.Contains(string(log), says) || s.Passthrough.On && s.Passthrough.Reason != "" {
		w.t.Errorf("status says %+v, the log:\n%s", s.Passthrough, log)
	}
	if !s.Passthrough.On {
		return
	}
	eventually(w.t, "the file is passed through", func() bool {
		f, err := os.Open(filepath.Join(m, file))
		if err != nil {
			w.t.Fatal(err)
		}
		defer f.Close()
		// What was read before may have come from the draft or the kernel's pages: then the
		// cache does not have it yet.
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			w.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			w.t.Fatal(err)
		}
		return w.mustAsk(m).Passthrough.Handles == 1
	})
	eventually(w.t, "no handle is passed through", func() bool { return w.mustAsk(m).Passthrough.Handles == 0 })
}

// Each cause has its code and one line, and leaves nothing mounted.
func TestMountFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t).asUser()
	m := w.mkdir("m")
	w.cleanMount(m)
	w.mkdir("full")
	w.mkdir("full/x")
	w.write("file", "")
	if err := os.Mkdir(filepath.Join(w.dir, "root"), 0o755); err != nil { // not theirs, where the tests are root
		t.Fatal(err)
	}
	sticky := filepath.Join(w.dir, "sticky")
	if err := errors.Join(os.Mkdir(sticky, 0o700), os.Chmod(sticky, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	w.mkdir("stage")
	if err := os.Chmod(filepath.Join(w.dir, "stage"), 0o777); err != nil {
		t.Fatal(err)
	}
	good := service(t, nil)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	untrusted.StartTLS()
	defer untrusted.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who are you", http.StatusUnauthorized)
	}))
	defer refusing.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unreachable := "http://" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	w.write("clouds.yaml", "clouds:\n  bad:\n    auth:\n      auth_url: "+refusing.URL+"/v3\n      username: u\n      password: geheim\n      project_name: p\n")

	w.secret("token.yaml", "token: geheim\n")

	type failing struct {
		args string
		want exitCode
		says string
	}
	cases := []failing{
		{"--cloud nosuch m", exitCloud, "nosuch"},
		{"--cloud bad m", exitCredentials, "cloud bad"},
		{"--endpoint " + unreachable + " m", exitUnreachable, unreachable},
		{"--endpoint " + untrusted.URL + " m", exitUntrusted, "cacert"},
		{"--endpoint " + other.URL + " m", exitNotImageAPI, other.URL},
		{"--endpoint " + refusing.URL + " --config token.yaml m", exitCredentials, refusing.URL},
		{"--endpoint " + good + " --token geheim m", exitUsage, "unknown flag: --token"},
		{"--endpoint " + good + " none", exitNoMountpoint, "mkdir -p"},
		{"--endpoint " + good + " file", exitNotDirectory, "not a directory"},
		{"--endpoint " + good + " full", exitNotEmpty, "not empty"},
		{"--endpoint " + good + " " + w.mkdir("\xff"), exitUsage, "not UTF-8"},
		{"--endpoint " + good + " --allow-other m", exitAllowOther, "add the line user_allow_other to /etc/fuse.conf"},
		{"--endpoint " + good + " --staging-dir stage m", exitLocalDir, "stage"},
		{"--endpoint " + good + " --cache-dir m/c m", exitUsage, "lies in the mountpoint"},
		{"--endpoint " + good + " --staging-dir m m", exitUsage, "lies in the mountpoint"},
		{"--endpoint " + good + " --streams none m", exitUsage, "--streams"},
	}
	if w.uid != os.Geteuid() {
		cases = append(cases, failing{"--endpoint " + good + " root", exitMountDenied, "not yours"},
			failing{"--endpoint " + good + " sticky", exitMountDenied, "not yours"})
	}
	for _, tc := range cases {
		for _, how := range []string{"mount --foreground ", "mount "} {
			if tc.want == exitAllowOther {
				if allowed, err := confAllowsOther("/etc/fuse.conf"); err != nil || allowed {
					t.Logf("this machine permits --allow-other (%v): TestAllowOther tells the refusal", err)
					continue
				}
			}
			out, stderr, code := w.run(strings.Fields(how + tc.args)...)
			if how != "mount " { // the log goes there too, before
				stderr = stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
			}
			line := oneLineOf(t, stderr)
			if code != tc.want || out != "" || !strings.Contains(line, tc.says) || strings.Contains(line, "geheim") {
				t.Errorf("%s%s: code %d, want %d: %s%s", how, tc.args, code, tc.want, out, line)
			}
			if isMounted(t, m) {
				t.Fatalf("%s%s: left a mount", how, tc.args)
			}
		}
	}
	if left, err := os.ReadDir(filepath.Join(w.dir, "imagefs")); err == nil && len(left) > 0 {
		t.Errorf("sockets left: %v", left)
	}
}

// A token in a file reaches the daemon, but neither its arguments nor its environment.
func TestTokenStaysHidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := make(chan string, 100)
	endpoint := service(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			select {
			case seen <- r.Header.Get("X-Auth-Token"):
			default: // enough of them
			}
			next.ServeHTTP(rw, r)
		})
	})
	m := w.mounted(endpoint, "--config", w.secret("token.yaml", "token: geheim\n"))
	s := w.mustAsk(m)
	for _, file := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(s.PID) + "/" + file)
		if err != nil || strings.Contains(string(text), "geheim") {
			t.Errorf("%s of the daemon: %v, %q", file, err, text)
		}
	}
	log, err := os.ReadFile(s.LogFile)
	if err != nil || strings.Contains(string(log), "geheim") {
		t.Errorf("log: %v, %s", err, log)
	}
	token := ""
	for len(seen) > 0 {
		token = max(token, <-seen)
	}
	if token != "geheim" {
		t.Errorf("the service saw %q", token)
	}
	w.mustRun("unmount", m)
}

// Ctrl-C while the service does not answer ends the start, and nothing is left.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	endpoint := service(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
		})
	})
	for _, how := range []string{"--foreground=false", "--foreground"} {
		w := newWorld(t)
		m := w.mkdir("m")
		w.cleanMount(m)
		p := w.start("mount", how, "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", m)
		<-asked
		p.signal(unix.SIGINT)
		_, stderr, code := p.end()
		if code != exitInterruptedBy || !strings.Contains(oneLineOf(t, stderr), "nothing was mounted") || isMounted(t, m) {
			t.Errorf("%s: code %d: %s", how, code, stderr)
		}
	}
}

// Of two mounts at one mountpoint that do not know each other's sockets, as those of root
// and of a user do not, the one whose service is slow to answer does not hide the other.
func TestMountsAtOnce(t *testing.T) {
	t.Parallel()
	h, slow := holed(t)
	h.arm(all)
	w, other := newWorld(t), newWorld(t).asUser()
	m := other.mkdir("m")
	w.cleanMount(m)
	p := w.start("mount", "--endpoint", slow, "--staging-dir", w.dir+"/staging", m)
	eventually(t, "the service is asked", func() bool { return h.count() > 0 })
	other.mustRun("mount", "--endpoint", service(t, nil), "--staging-dir", other.dir+"/staging", m)
	h.arm(nil)
	h.release()
	if _, stderr, code := p.end(); code != exitMountBusy || !strings.Contains(oneLineOf(t, stderr), m+" is mounted already") {
		t.Errorf("code %d: %s", code, stderr)
	}
	other.mustRun("unmount", m)
	if isMounted(t, m) {
		t.Error("something else is mounted there")
	}
}

// Who does not look at certificates is told so, at the mount, in its log, in the status and
// by what needs no mount.
func TestInsecureIsSaidAloud(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, err := imageserver.New(imageserver.Options{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	secure := httptest.NewTLSServer(server)
	t.Cleanup(secure.Close)
	const said = "certificate of the service is not verified"

	m := w.mkdir("m")
	w.cleanMount(m)
	if _, stderr, code := w.run("mount", "--insecure", "--endpoint", secure.URL, "--staging-dir", w.dir+"/staging", m); code != exitOK || !strings.Contains(stderr, said) {
		t.Errorf("mount: code %d, %s", code, stderr)
	}
	s := w.mustAsk(m)
	if log, err := os.ReadFile(s.LogFile); err != nil || !strings.Contains(string(log), "level=WARN msg=\"the "+said) {
		t.Errorf("log: %v, %s", err, log)
	}
	if !s.Service.Insecure {
		t.Errorf("status --json has %+v", s.Service)
	}
	if out, _, _ := w.run("status", m); !strings.Contains(out, "certificate NOT verified") {
		t.Errorf("status says %s", out)
	}
	if _, stderr, code := w.run("ls", "--insecure", "--endpoint", secure.URL); code != exitOK || !strings.Contains(stderr, said) {
		t.Errorf("ls: code %d, %s", code, stderr)
	}
}
