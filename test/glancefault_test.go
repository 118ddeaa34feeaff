package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// TestGlanceFaults: the same as TestUploadFaults for what a real Glance and Keystone
// can show, on their own: what they refuse, and what ends while it takes an upload.
func TestGlanceFaults(t *testing.T) {
	const everything = "add_image: '@'\nmodify_image: '@'\n" // Glance reads it anew when it changes, and keeps what it does not name
	policy := file(t, "policy.yaml", []byte(everything))
	g := startGlance(t, "GLANCE_WORKERS=1", "TOKEN_CACHE=-1", // Keystone is asked about every request
		"GLANCE_EXTRA="+file(t, "extra", fmt.Appendf(nil, "[oslo_policy]\npolicy_file = %s\n", policy)))
	p, _ := newSpoiler(t, service{args: []string{"", g.url()}})
	endpoint := strings.TrimSpace(g.admin(t, "endpoint", "list", "--service", "image", "--interface", "public", "-f", "value", "-c", "ID"))
	g.admin(t, "endpoint", "set", "--url", p.url, endpoint)
	m := mountOn(t, g.service)
	data := noise(200, 9<<20+1234)

	t.Run("403", func(t *testing.T) {
		for _, rule := range []string{"add_image", "modify_image"} { // before the upload, and after it
			if err := os.WriteFile(policy, fmt.Appendf(nil, "%s: '!'\n", rule), 0o600); err != nil {
				t.Fatal(err)
			}
			closesWith(t, m, "forbidden-"+rule+".img", data, syscall.EACCES, rule)
			if err := os.WriteFile(policy, []byte(everything), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("409, the id is taken", func(t *testing.T) {
		name := g.cleanName(t, "taken.img")
		f, err := os.Create(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
		other := g.upload(t, image.New{ID: m.draftOf(name), Name: "taken-before.img"}, []byte("other"))
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		holds(t, g.one(t, name), data)
		holds(t, g.one(t, other.Name), []byte("other"))
	})
	t.Run("409, somebody else has filled the record", func(t *testing.T) {
		p.spoil("filled.img", -1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			id := strings.Split(r.URL.Path, "/")[3]
			if err := g.api.Upload(r.Context(), id, 5, func() io.Reader { return strings.NewReader("other") }); err != nil {
				t.Error(err)
			}
			next.ServeHTTP(w, r)
		})
		closesWith(t, m, "filled.img", data, syscall.EBUSY, "not allowed")
		p.mend("filled.img")
	})
	t.Run("others come first", func(t *testing.T) { overtaken(t, m, p) })
	t.Run("its worker is killed in the middle", func(t *testing.T) {
		p.spoil("killed-worker.img", 1, inTheMiddle(func() { g.killWorkers(t) }))
		closesWith(t, m, "killed-worker.img", noise(201, 32<<20), 0, "") // more than sockets hold
		if p.mend("killed-worker.img") != 1 || !strings.Contains(m.log.String(), "an upload failed; it is tried again") {
			t.Error("no upload has failed")
		}
	})
	t.Run("the token is revoked in the middle", func(t *testing.T) {
		p.spoil("revoked.img", 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			inTheMiddle(func() { g.revoke(t, r.Header.Get("X-Auth-Token")) })(w, r, next)
		})
		closesWith(t, m, "revoked.img", data, 0, "")
		p.mend("revoked.img")
	})
	t.Run("Keystone is away in the middle", func(t *testing.T) {
		name := g.cleanName(t, "keystone.img")
		ended := make(chan struct{})
		p.spoil(name, 1, inTheMiddle(func() {
			defer close(ended)
			g.down(t, "--only", "keystone")
		}))
		cp := exec.Command("cp", file(t, name, data), m.path(name))
		if err := cp.Start(); err != nil {
			t.Fatal(err)
		}
		m.until("a request to meet no Keystone", func() bool { return strings.Contains(m.log.String(), image.IdentityAway.String()) })
		<-ended // a Keystone that is just ending would be taken for one that is up
		g.up(t)
		if err := cp.Wait(); err != nil {
			t.Errorf("cp: %v", err)
		}
		holds(t, g.one(t, name), data)
	})
	t.Run("a listing that takes long", func(t *testing.T) {
		slow, _ := newSlowListing(t, service{args: []string{"", g.url()}})
		g.admin(t, "endpoint", "set", "--url", slow.url, endpoint)
		deltas(t, slow, g.service)
	})
}

// draftOf is the id of the draft of a name.
func (m *mount) draftOf(name string) string {
	m.t.Helper()
	for _, journal := range m.drafts() {
		if text, err := os.ReadFile(journal); err == nil && strings.Contains(string(text), strconv.Quote(name)) {
			return strings.TrimSuffix(filepath.Base(journal), ".json")
		}
	}
	m.t.Fatalf("no draft is called %s", name)
	return ""
}

// inTheMiddle does something when half of the data has been sent.
func inTheMiddle(do func()) failure {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		half := r.ContentLength / 2
		r.Body = &cutBody{Closer: r.Body, Reader: io.MultiReader(io.LimitReader(r.Body, half), &doing{do: sync.OnceFunc(do)}, r.Body)}
		next.ServeHTTP(w, r)
	}
}

// doing is a reader without bytes that does something when it is read.
type doing struct{ do func() }

func (d *doing) Read([]byte) (int, error) {
	d.do()
	return 0, io.EOF
}

func (g glance) url() string {
	return "http://127.0.0.1:" + strings.TrimPrefix(g.env[1], "GLANCE_PORT=")
}

// admin runs the OpenStack client as the administrator.
func (g glance) admin(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "/usr/bin/openstack", append([]string{"--os-cloud", "admin"}, args...)...)
}

// killWorkers kills the processes that answer requests; Glance starts others.
func (g glance) killWorkers(t *testing.T) {
	pid, err := os.ReadFile(filepath.Join(g.dir, "run", "glance.pid"))
	if err != nil {
		t.Error(err)
		return
	}
	head := strings.Fields(string(pid))[0]
	workers, err := os.ReadFile("/proc/" + head + "/task/" + head + "/children")
	if err != nil || len(workers) == 0 {
		t.Errorf("Glance has the workers %q, %v", workers, err)
	}
	for w := range strings.FieldsSeq(string(workers)) {
		n, err := strconv.Atoi(w)
		if err == nil {
			err = syscall.Kill(n, syscall.SIGKILL)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
}

// revoke makes a token invalid at once, on its own authority.
func (g glance) revoke(t *testing.T, token string) {
	keystone := "http://127.0.0.1:" + strings.TrimPrefix(g.env[0], "KEYSTONE_PORT=")
	r, err := http.NewRequest(http.MethodDelete, keystone+"/v3/auth/tokens", nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("X-Subject-Token", token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("revoking the token: %s", resp.Status)
	}
}
