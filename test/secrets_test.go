package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// A guarded service is a Keystone and a proxy before an Image service, which answers
// what the test says to those who have the newest token.
type guarded struct {
	identity, images *httptest.Server
	proxy            http.Handler

	mu     sync.Mutex // guards the fields below
	tokens int        // that were issued
	answer int        // other than 0: the status of every answer about data
	away   string     // other than "": where requests for data are sent
	leaked string     // a token that came where it should not
}

const (
	password = "password-of-this-test"
	tokens   = "token-of-this-test-" // and a number
)

func newGuarded(t *testing.T, s service) *guarded {
	t.Helper()
	target, err := url.Parse(s.args[1])
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ErrorLog: log.New(io.Discard, "", 0),
	}}
	g.images = httptest.NewServer(http.HandlerFunc(g.serveImages))
	t.Cleanup(g.images.Close)
	g.identity = httptest.NewServer(http.HandlerFunc(g.serveIdentity))
	t.Cleanup(g.identity.Close)
	return g
}

func (g *guarded) serveIdentity(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		_, _ = io.WriteString(w, `{"version": {"id": "v3.14", "status": "stable"}}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if !bytes.Contains(body, []byte(password)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	g.tokens++
	w.Header().Set("X-Subject-Token", tokens+strconv.Itoa(g.tokens))
	g.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{
		"expires_at": "2046-01-01T00:00:00.000000Z", "project": map[string]any{"id": "p1"}, "user": map[string]any{"id": "u1", "name": "demo"},
		"catalog": []any{map[string]any{"type": "image", "endpoints": []any{map[string]any{"interface": "public", "region": "r", "url": g.images.URL}}}},
	}})
}

func (g *guarded) serveImages(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	newest, answer, away := tokens+strconv.Itoa(g.tokens), g.answer, g.away
	g.mu.Unlock()
	data := strings.HasSuffix(r.URL.Path, "/file")
	switch {
	case r.Header.Get("X-Auth-Token") != newest:
		w.WriteHeader(http.StatusUnauthorized)
	case data && away != "":
		http.Redirect(w, r, away, http.StatusFound)
	case data && answer != 0:
		w.WriteHeader(answer)
	default:
		g.proxy.ServeHTTP(w, r)
	}
}

func (g *guarded) set(answer int, away string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer, g.away = answer, away
}

// Neither password nor token come into a log, an error, the status, the cache, staging,
// arguments or a core dump, whatever goes wrong, and tokens go to no other host.
func TestSecretsStaySecret(t *testing.T) {
	s := embedded(t)
	g := newGuarded(t, s)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), tokens) {
				g.leaked = r.URL.String()
			}
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer other.Close()
	for name, value := range map[string]string{
		"OS_AUTH_URL": g.identity.URL + "/v3", "OS_USERNAME": "demo", "OS_PASSWORD": password, "OS_PROJECT_NAME": "demo", "GOTRACEBACK": "crash",
	} {
		t.Setenv(name, value)
	}
	s.upload(t, image.New{Name: "a.img"}, noise(1, 1<<20))
	s.upload(t, image.New{Name: "b.img"}, noise(2, 1<<20))
	s.args = nil
	m := mountOn(t, s)
	var said bytes.Buffer // by all programs
	tell := func(name string, args ...string) {
		out, err := try(t, name, args...)
		fmt.Fprintln(&said, out, err)
	}
	tell("cat", m.path("a.img"))
	tell("cp", m.path("a.img"), m.path("copy.img"))
	m.settled()
	g.set(0, other.URL+"/elsewhere")
	tell("cat", m.path("b.img"))
	for _, answer := range []int{http.StatusForbidden, http.StatusUnauthorized, http.StatusBadRequest} {
		g.set(answer, "")
		tell("cat", m.path("b.img"))
		tell("cp", m.path("a.img"), m.path("failed.img")) // its draft stays
	}
	tell(binary, "status", m.dir)
	tell(binary, "status", "--json", m.dir)
	tell(binary, "ls", "--long", m.dir)
	tell(binary, "staged", "list", "--staging-dir", m.staging)
	t.Setenv("OS_PASSWORD", password+"x") // is wrong
	tell(binary, "ls", "--log-level", "debug")
	g.mu.Lock()
	if g.leaked != "" {
		t.Errorf("a token went to %s", g.leaked)
	}
	g.mu.Unlock()
	arguments, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.daemon.Process.Pid), "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	said.Write(arguments)

	m.forced = true
	status := crash(t, m.daemon.Process.Pid, func() syscall.WaitStatus {
		<-m.ended
		return m.daemon.ProcessState.Sys().(syscall.WaitStatus)
	})
	if status.Signal() != syscall.SIGABRT || status.CoreDump() {
		t.Errorf("the daemon ended with %v, core dumped: %v", status.Signal(), status.CoreDump())
	}
	run(t, binary, "unmount", "--force", m.dir)
	if !strings.Contains(m.log.String(), "goroutine ") {
		t.Error("its end is not in the log")
	}
	said.WriteString(m.log.String())
	wantNoSecret(t, "what was said", said.String())
	for _, dir := range []string{m.staging, m.cache} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			wantNoSecret(t, path, path+string(text))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func wantNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{password, tokens} {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s has a secret: %q", where, text[max(0, at-200):at+len(secret)])
		}
	}
}

// crash ends a process so that it would leave a core dump, as one does here that is not
// kept from it.
func crash(t *testing.T, pid int, wait func() syscall.WaitStatus) syscall.WaitStatus {
	t.Helper()
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	control := exec.Command("sleep", "60")
	control.Dir = t.TempDir()
	if err := control.Start(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []int{control.Process.Pid, pid} {
		if err := unix.Prlimit(p, unix.RLIMIT_CORE, &unlimited, nil); err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(p, unix.SIGABRT); err != nil {
			t.Fatal(err)
		}
	}
	_ = control.Wait() // it was killed
	if status := control.ProcessState.Sys().(syscall.WaitStatus); !status.CoreDump() {
		t.Log("this machine writes no core dumps at all: TestOtherUsersOfAUsersMount tells that the daemon would have none")
	}
	return wait()
}
