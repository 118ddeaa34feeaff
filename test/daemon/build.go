package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds imagefs with the race detector: see BuildWith.
func Build(dir string) (string, error) { return BuildWith(dir, "-race") }

// BuildWith builds imagefs into dir with these flags, and makes the environment one in
// which nothing of this machine decides what it does. It returns the binary's path.
func BuildWith(dir string, flags ...string) (string, error) {
	for _, name := range []string{"OS_CLOUD", "OS_TOKEN", "OS_AUTH_URL", "IMAGEFS_CONFIG"} {
		if err := os.Unsetenv(name); err != nil {
			return "", err
		}
	}
	// A race ends the binary at once; without one it does not linger at its end.
	if err := os.Setenv("GORACE", "halt_on_error=1 exitcode=66 atexit_sleep_ms=0"); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "imagefs")
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", binary, "github.com/imagefs/imagefs/cmd/imagefs")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return binary, nil
}
