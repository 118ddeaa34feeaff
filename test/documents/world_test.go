package documents

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/imageserver"
	"github.com/imagefs/imagefs/test/fault"
)

// world is what a reader has: two clouds, an entry of clouds.yaml for each, and imagefs.
type world struct {
	t   *testing.T
	dir string
	env []string // of the commands
}

// clouds are the names of the clouds.
var clouds = []string{"mycloud", "othercloud"}

// newWorld makes the world of a section. What testdata/NAME.images makes, where there is
// such a script, is in the first cloud before it begins.
func newWorld(t *testing.T, name string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "documents-") // short: sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	seed := filepath.Join("testdata", name+".images")
	if _, err := os.Stat(seed); err == nil {
		w.must(exec.Command("bash", seed, filepath.Join(dir, clouds[0])))
	}
	var entries strings.Builder
	for _, cloud := range clouds {
		service := w.serve(cloud)
		fmt.Fprintf(&entries, "  %s:\n    auth: {auth_url: %q, username: me, password: secret, project_name: demo, user_domain_id: default, project_domain_id: default}\n    region_name: here\n",
			cloud, service+fault.IdentityPath)
	}
	if err := os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte("clouds:\n"+entries.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "WORLD="+dir, "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH")+":/usr/sbin:/sbin", "TZ=UTC", "LC_ALL=C.UTF-8")
	return w
}

// serve serves a cloud behind a Keystone, and says how to reach it without.
func (w *world) serve(cloud string) (url string) {
	w.t.Helper()
	server, err := imageserver.New(imageserver.Options{Dir: filepath.Join(w.dir, cloud), NoSync: true, Project: "demo"})
	if err != nil {
		w.t.Fatal(err)
	}
	keystone := fault.NewKeystone(server, "demo")
	behind, plain := httptest.NewServer(keystone), httptest.NewServer(server)
	keystone.Catalog(behind.URL)
	w.env = append(w.env, "PLAIN_"+strings.ToUpper(cloud)+"="+plain.URL)
	w.t.Cleanup(func() {
		for _, s := range []*httptest.Server{behind, plain} {
			s.CloseClientConnections()
			s.Close()
		}
		if err := server.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return behind.URL
}

func (w *world) must(cmd *exec.Cmd) {
	w.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
