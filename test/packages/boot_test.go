package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// boot: the README's three commands give the clean Debian a mount of a cloud, which is there at
// the next boot by itself. systemd is the first process of a container (systemd-nspawn) on this
// machine's network, where Keystone and Glance are.
func boot(t *testing.T, root string) {
	clouds := os.Getenv("IMAGEFS_TEST_CLOUDS")
	if clouds == "" {
		t.Fatal("$IMAGEFS_TEST_CLOUDS is not set: `make test` starts a real Keystone and Glance and sets it to their clouds.yaml")
	}
	run(t, "cp", clouds, filepath.Join(root, "clouds.yaml"))
	run(t, "cp", "boot.sh", root)
	run(t, "chroot", root, "bash", "/boot.sh", "install")
	for _, time := range []string{"first", "second"} {
		// 2 minutes for what takes some seconds.
		out := run(t, "timeout", "--kill-after=5s", "2m", "systemd-nspawn", "--quiet", "--directory="+root,
			"--register=no", "--keep-unit", "--bind=/dev/fuse", "--console=pipe", "--boot")
		if log := run(t, "cat", filepath.Join(root, "boot.log")); !strings.HasSuffix(log, time+" boot: all well\n") {
			t.Fatalf("%s boot: %s\n%s", time, log, out)
		}
	}
}
