package imageserver

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenStackClient drives Debian's python3-openstackclient without Keystone.
// It reads its commands from its input: starting it costs seconds.
func TestOpenStackClient(t *testing.T) {
	r := open(t, Options{})
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	data := bytes.Repeat([]byte("0123456789abcdef\n"), 30_000)
	write(t, string(data), from)

	cmd := exec.Command("openstack")
	cmd.Env = []string{"OS_AUTH_TYPE=none", "OS_ENDPOINT=" + r.url}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Stdin = strings.NewReader(strings.Join([]string{
		"image create -f value -c name --disk-format raw --container-format bare --file " + from + " --tag t --property a=b first",
		"image set --name second --property c=d --tag u --min-disk 1 first",
		"image show -f value -c name -c status -c size -c min_disk -c tags second",
		"image list --property c=d -f value -c Name -c Status",
		"image list --name nothing -f value",
		"image save --file " + to + " second",
		"image delete second",
		"image list -f value",
		"",
	}, "\n"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() != 0 {
		t.Errorf("openstack: %v\n%s", err, stderr.Bytes())
	}
	if got, want := strings.Fields(stdout.String()), "first 1 second 510000 active ['t', 'u'] second active"; strings.Join(got, " ") != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
	if saved, err := os.ReadFile(to); err != nil || !bytes.Equal(saved, data) {
		t.Errorf("saved %d bytes, want %d; %v", len(saved), len(data), err)
	}
}
