package packages

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// runForeign: the program for the other architecture serves, mounts, and reads what it wrote,
// in the emulator of a processor that has none of this one's instructions. The kernel stays
// that of this machine.
func runForeign(t *testing.T, dist string) {
	architecture, emulator := "arm64", "qemu-aarch64"
	if runtime.GOARCH == "arm64" {
		architecture, emulator = "amd64", "qemu-x86_64"
	}
	dir := t.TempDir()
	t.Cleanup(func() { run(t, "rm", "-rf", "--one-file-system", dir) })
	out := run(t, "unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "foreign.sh",
		emulator, filepath.Join(dist, "imagefs-linux-"+architecture), dir)
	if !strings.HasSuffix(out, "all well\n") || !strings.Contains(out, " linux/"+architecture+"\n") {
		t.Errorf("the program for %s: %s", architecture, out)
	}
}
