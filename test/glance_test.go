package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/client"
)

// A glance is a Keystone and a Glance of one test.
type glance struct {
	service
	dir string   // of its state
	env []string // its settings
}

// startGlance brings up a Keystone and a Glance with settings of their own.
func startGlance(t *testing.T, env ...string) glance {
	t.Helper()
	// Not t.TempDir: PostgreSQL runs as a user of its own, who must pass through.
	dir, err := os.MkdirTemp("", "imagefs-test-glance-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	ports := make([]string, 2)
	for i := range ports {
		addr, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = addr[strings.LastIndex(addr, ":")+1:]
	}
	g := glance{dir: dir, env: append([]string{"KEYSTONE_PORT=" + ports[0], "GLANCE_PORT=" + ports[1]}, env...)}
	t.Cleanup(func() { g.down(t) })
	g.up(t)
	t.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
	api, err := dial(client.Options{Cloud: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	g.service = service{name: "own glance", args: []string{"--cloud", "demo"}, api: api}
	return g
}

// up starts what of it does not run.
func (g glance) up(t *testing.T) {
	t.Helper()
	up := exec.Command("openstack/up", g.dir)
	up.Env = append(os.Environ(), g.env...)
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("bringing Glance up: %v: %s", err, out)
	}
}

// down ends it, or with --only a part of it.
func (g glance) down(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("openstack/down", append(args, g.dir)...).CombinedOutput(); err != nil {
		t.Errorf("bringing Glance down: %v: %s", err, out)
	}
}
