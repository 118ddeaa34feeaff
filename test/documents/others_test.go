package documents

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// What the machine has mounted when the documents are tried stays mounted, and can be
// unmounted meanwhile.
func TestMountsOfOthersStay(t *testing.T) {
	w := newWorld(t, "60-seconds")
	plain := slices.IndexFunc(w.env, func(v string) bool { return strings.HasPrefix(v, "PLAIN_") })
	_, url, _ := strings.Cut(w.env[plain], "=")
	d, err := daemon.New(binary, t.TempDir(), "--endpoint", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
	})
	own := section{name: "60-seconds", steps: []step{{command: "mkdir m && imagefs mount --cloud mycloud m && ! grep -q " + d.Mountpoint + " /proc/self/mounts"}}}
	if got := w.run(own); got[0].status != 0 {
		t.Errorf("ended with %d: %q", got[0].status, got[0].lines)
	}
	if _, err := os.ReadDir(d.Mountpoint); err != nil {
		t.Error(err)
	}
	if err := d.Unmount(); err != nil {
		t.Error(err)
	}
}
