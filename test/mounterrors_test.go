package test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Exit codes of imagefs: a promise to scripts, listed in docs/SEMANTICS.md.
const (
	exitUsage        = 2
	exitCredentials  = 3
	exitCloud        = 4
	exitUnreachable  = 5
	exitUntrusted    = 6
	exitNoMountpoint = 9
	exitNotDirectory = 10
	exitNotEmpty     = 11
	exitMountBusy    = 12
	exitDraftBusy    = 25
	exitDraft        = 26
	exitFileExists   = 27
	exitNoFUSE       = 14
	exitNotMounted   = 18
	exitUnmountBusy  = 19
	exitLeft         = 28
)

// A mount that cannot be made says why in one line, with a code of its own, and
// leaves nothing mounted.
func TestMountsThatCannotBe(t *testing.T) {
	clouds, err := os.ReadFile(cloudsFile)
	if err != nil {
		t.Fatal(err)
	}
	wrong := file(t, "clouds.yaml", bytes.ReplaceAll(clouds, []byte("password: demopw"), []byte("password: wrong")))
	unused, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(services[0].args[1])
	if err != nil {
		t.Fatal(err)
	}
	selfSigned := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	defer selfSigned.Close()
	notEmpty := t.TempDir()
	if err := os.WriteFile(filepath.Join(notEmpty, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy := mountOn(t, services[0])
	good := services[0].args

	for _, c := range []struct {
		what string
		env  string
		args []string
		dir  string
		code int
		says string
	}{
		{"a wrong password", "OS_CLIENT_CONFIG_FILE=" + wrong, []string{"--cloud", "demo"}, t.TempDir(), exitCredentials, "demo"},
		{"an unknown cloud", "", []string{"--cloud", "nowhere"}, t.TempDir(), exitCloud, "nowhere"},
		{"an unreachable endpoint", "", []string{"--endpoint", "http://" + unused}, t.TempDir(), exitUnreachable, unused},
		{"a bad certificate", "", []string{"--endpoint", selfSigned.URL}, t.TempDir(), exitUntrusted, "certificate"},
		{"a missing mountpoint", "", good, filepath.Join(t.TempDir(), "missing"), exitNoMountpoint, "missing"},
		{"a file as mountpoint", "", good, file(t, "plain", nil), exitNotDirectory, "plain"},
		{"a mountpoint that is not empty", "", good, notEmpty, exitNotEmpty, notEmpty},
		{"a busy mountpoint", "", good, busy.dir, exitMountBusy, busy.dir},
		{"a store that is not there", "", append([]string{"--store", "nosuch"}, good...), t.TempDir(), exitUsage, "--store"},
		{"a wrong size", "", append([]string{"--memory", "lots"}, good...), t.TempDir(), exitUsage, "lots"},
	} {
		cleanLog(t, c.dir)
		for _, foreground := range []bool{false, true} {
			args := append([]string{"mount"}, c.args...)
			if foreground {
				args = append(args, "--foreground")
			}
			var errs bytes.Buffer
			cmd := exec.Command(binary, append(args, c.dir)...)
			cmd.Stderr = &errs
			if c.env != "" {
				cmd.Env = append(os.Environ(), c.env)
			}
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.code {
				t.Errorf("%s (foreground %v): %v, want exit code %d: %s", c.what, foreground, err, c.code, errs.String())
			}
			said := strings.TrimSuffix(errs.String(), "\n")
			if foreground { // there the log goes to stderr, and the error is its end
				said = said[strings.LastIndex(said, "\n")+1:]
			}
			if strings.Contains(said, "\n") || !strings.Contains(said, c.says) {
				t.Errorf("%s (foreground %v) says, want one line with %q: %q", c.what, foreground, c.says, said)
			}
			if c.dir != busy.dir && mounted(t, c.dir) {
				t.Errorf("%s left a mount", c.what)
			}
		}
	}
}

// Without /dev/fuse the error says what is missing.
func TestNoFUSE(t *testing.T) {
	script := `mount -t tmpfs none /dev && exec "$0" mount --endpoint "$1" "$2"`
	failed := fails(t, "unshare", "--mount", "sh", "-c", script, binary, services[0].args[1], t.TempDir())
	if failed.code != exitNoFUSE || !strings.Contains(failed.stderr, "/dev/fuse") {
		t.Errorf("exit code %d, %q", failed.code, failed.stderr)
	}
}

// Unmounting what is not mounted or is in use says so.
func TestUnmountErrors(t *testing.T) {
	if failed := fails(t, binary, "unmount", t.TempDir()); failed.code != exitNotMounted {
		t.Errorf("unmounting nothing: exit code %d, %q", failed.code, failed.stderr)
	}
	m := mountOn(t, services[0])
	dir, err := os.Open(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	if failed := fails(t, binary, "unmount", m.dir); failed.code != exitUnmountBusy {
		t.Errorf("unmounting what is in use: exit code %d, %q", failed.code, failed.stderr)
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
}
