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
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
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
	exitNoFUSE       = 14
	exitNotMounted   = 18
	exitUnmountBusy  = 19
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

// A full staging disk is ENOSPC to the writer; no image comes of it.
func TestFullStagingDisk(t *testing.T) {
	s := services[0]
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	m := mountOn(t, s, "--staging-dir", filepath.Join(small, "staging"))
	name := s.cleanName(t, "full.img")
	failed := fails(t, "cp", file(t, name, noise(50, 8<<20)), m.path(name))
	if !strings.Contains(failed.stderr, "No space left") {
		t.Errorf("cp to a full staging disk: %s", failed.stderr)
	}
}

// A refusal of the content for its size keeps the draft, says where, and leaves no
// image. The caller can tell a quota from an image that is too large for the service.
func TestQuotaRefusal(t *testing.T) {
	extra := file(t, "extra", []byte("[DEFAULT]\nuser_storage_quota = 4194304\n"))
	s := startGlance(t, "GLANCE_SIZE_CAP=2097152", "GLANCE_EXTRA="+extra)
	s.upload(t, image.New{Name: "filler.img"}, noise(52, 3<<19))
	for name, c := range map[string]struct {
		size int
		says string
	}{ // 2.5 MiB are left of the quota
		"over-cap.img": {9 << 18, "No space left"}, "over-quota.img": {3 << 20, "quota exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mountOn(t, s)
			source := file(t, name, noise(51, c.size))
			failed := fails(t, "cp", source, m.path(name))
			if !strings.Contains(failed.stderr, c.says) {
				t.Errorf("cp says %s, want %q", failed.stderr, c.says)
			}
			if left := s.images(t, name); len(left) != 0 {
				t.Errorf("a refused upload left %v", left)
			}
			m.until("the draft to be kept", func() bool { return len(m.drafts()) == 1 })
			data := strings.TrimSuffix(m.drafts()[0], ".json") + ".data"
			run(t, "cmp", source, data)
			m.until("the log to say where the draft is", func() bool { return strings.Contains(m.log.String(), data) })
		})
	}
}

// startGlance brings up a Keystone and a Glance with settings of their own.
func startGlance(t *testing.T, env ...string) service {
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
	up := exec.Command("openstack/up", dir)
	up.Env = append(append(os.Environ(), "KEYSTONE_PORT="+ports[0], "GLANCE_PORT="+ports[1]), env...)
	t.Cleanup(func() {
		if out, err := exec.Command("openstack/down", dir).CombinedOutput(); err != nil {
			t.Errorf("bringing Glance down: %v: %s", err, out)
		}
	})
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("bringing Glance up: %v: %s", err, out)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
	api, err := dial(client.Options{Cloud: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return service{name: "own glance", args: []string{"--cloud", "demo"}, api: api}
}

// A protected image is neither removed nor overwritten, and not one byte is sent.
func TestProtectedImage(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		name := "protected.img"
		data := noise(52, 1<<20)
		img := s.upload(t, image.New{Name: name, Protected: true}, data)
		m := mountOn(t, s)
		if mode := stat(t, "%a", m.path(name)); mode != "444" {
			t.Errorf("a protected image has mode %s", mode)
		}
		for what, err := range map[string]error{
			"unlink":    syscall.Unlink(m.path(name)),
			"open":      open(m.path(name), syscall.O_RDWR),
			"overwrite": open(m.path(name), syscall.O_WRONLY|syscall.O_TRUNC),
			"truncate":  syscall.Truncate(m.path(name), 0),
		} {
			if !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v, want EPERM", what, err)
			}
		}
		other := s.cleanName(t, "unprotected.img")
		run(t, "cp", file(t, other, []byte("x")), m.path(other))
		if err := syscall.Rename(m.path(other), m.path(name)); !errors.Is(err, syscall.EPERM) {
			t.Errorf("rename over: %v, want EPERM", err)
		}
		holds(t, s.one(t, name), data)
		if s.one(t, name).ID != img.ID || len(s.images(t, other)) != 1 {
			t.Error("a refused rename changed something")
		}
	})
}

func open(path string, flags int) error {
	fd, err := syscall.Open(path, flags, 0)
	if err == nil {
		err = errors.Join(errors.New("it opened"), syscall.Close(fd))
	}
	return err
}

// A deactivated image is listed, and opening it is EACCES.
func TestDeactivatedImage(t *testing.T) {
	s := services[1]
	img := s.upload(t, image.New{Name: "deactivated.img"}, []byte("secret"))
	m := mountOn(t, s)
	run(t, "/usr/bin/openstack", "--os-cloud", "admin", "image", "set", "--deactivate", img.ID)
	fresh := mountOn(t, s)
	if out := run(t, "ls", fresh.dir); !strings.Contains(out, "deactivated.img") {
		t.Errorf("ls shows %s", out)
	}
	if err := open(fresh.path("deactivated.img"), syscall.O_RDONLY); !errors.Is(err, syscall.EACCES) {
		t.Errorf("opening: %v, want EACCES", err)
	}
	if _, err := os.ReadFile(m.path("deactivated.img")); !errors.Is(err, syscall.EACCES) {
		t.Errorf("reading through a mount that knew it as active: %v, want EACCES", err)
	}
}

// An image that is deleted while it is open goes on with what is cached; the rest
// is ESTALE, as on NFS.
func TestDeletedWhileOpen(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		data := noise(53, 64<<20)
		img := s.upload(t, image.New{Name: "deleted.img"}, data)
		m := mountOn(t, s, "--list-ttl", "2s")
		f, err := os.Open(m.path("deleted.img"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, 4096)
		if _, err := f.ReadAt(p, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.api.Delete(t.Context(), img.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, data[:4096]) {
			t.Errorf("reading what was read before: %v", err)
		}
		if _, err := f.ReadAt(p, 48<<20); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("reading the rest: %v, want ESTALE", err)
		}
		m.until("the entry to go", func() bool { _, err := os.Stat(m.path("deleted.img")); return os.IsNotExist(err) })
	})
}

// Where others have replaced an image, a reader that meets its end makes way for
// the new one, however young the listing.
func TestReplacedElsewhere(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		name := "replaced.img"
		old := s.upload(t, image.New{Name: name}, noise(56, 16<<20))
		m := mountOn(t, s, "--list-ttl", "1h")
		if out := run(t, "ls", m.dir); !strings.Contains(out, name) {
			t.Fatalf("ls shows %s", out)
		}
		if err := s.api.Delete(t.Context(), old.ID); err != nil {
			t.Fatal(err)
		}
		data := noise(57, 1<<20)
		s.upload(t, image.New{Name: name}, data)
		if _, err := os.ReadFile(m.path(name)); err != nil && !errors.Is(err, syscall.ESTALE) {
			t.Errorf("the first read: %v, want ESTALE or the new bytes", err)
		}
		m.until("the new image to be found", func() bool {
			got, err := os.ReadFile(m.path(name))
			return err == nil && bytes.Equal(got, data)
		})
	})
}

// A read-only mount refuses all writing with EROFS.
func TestReadOnlyMount(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		name := "read-only.img"
		s.upload(t, image.New{Name: name}, []byte("x"))
		m := mountOn(t, s, "--read-only")
		for what, err := range map[string]error{
			"create": open(m.path("new.img"), syscall.O_CREAT|syscall.O_WRONLY),
			"write":  open(m.path(name), syscall.O_WRONLY),
			"unlink": syscall.Unlink(m.path(name)),
			"rename": syscall.Rename(m.path(name), m.path("x")),
		} {
			if !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %v, want EROFS", what, err)
			}
		}
		if got, err := os.ReadFile(m.path(name)); err != nil || string(got) != "x" {
			t.Errorf("reading: %q, %v", got, err)
		}
	})
}

// Ctrl-C, or any signal that ends a writer, publishes nothing: the draft is kept.
func TestKilledWriter(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
			m := mountOn(t, s)
			name := s.cleanName(t, "killed.img")
			// cat waits for more of the pipe, so it is killed in the middle for sure.
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cat := exec.Command("sh", "-c", `exec cat > "$0"`, m.path(name))
			cat.Stdin = r
			if err := cat.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(noise(54, 60000)); err != nil {
				t.Fatal(err)
			}
			m.until("the draft to have bytes", func() bool {
				info, err := os.Stat(m.path(name))
				return err == nil && info.Size() > 0
			})
			if err := cat.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cat.Wait(); err == nil {
				t.Errorf("%v did not end the writer", sig)
			}
			m.until("the draft to be kept", func() bool {
				return len(m.drafts()) == 1 && strings.Contains(m.log.String(), "its writer was killed")
			})
			if left := s.images(t, name); len(left) != 0 {
				t.Errorf("after %v there is %+v", sig, left)
			}
			if err := errors.Join(r.Close(), w.Close()); err != nil {
				t.Error(err)
			}
			m.until("the entry to go", func() bool { _, err := os.Lstat(m.path(name)); return os.IsNotExist(err) })
			m.unmount()
		}
	})
}

// Ctrl-C of a cp that waits for the upload in its close frees it, leaves no image
// and keeps the draft.
func TestInterruptedUpload(t *testing.T) {
	s, stop, err := startEmbedded(t.TempDir(), "--latency", "2s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.api.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	m := mountOn(t, s)
	name := "interrupted.img"
	source := file(t, name, noise(55, 1<<20))
	cp := exec.Command("cp", source, m.path(name))
	if err := cp.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("the upload to begin", func() bool {
		return strings.Contains(run(t, binary, "status", m.dir), "upload    "+name)
	})
	if err := cp.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cp.Wait(); err == nil {
		t.Error("the interrupted cp succeeded")
	}
	m.until("the draft to be kept", func() bool {
		return len(m.drafts()) == 1 && strings.Contains(m.log.String(), "kept in staging")
	})
	if left := s.images(t, name); len(left) != 0 {
		t.Errorf("the interrupted cp left %v", left)
	}
	run(t, "cmp", source, strings.TrimSuffix(m.drafts()[0], ".json")+".data")
}
