package test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// A full staging disk is ENOSPC to the writer; no image comes of it, and the one that
// was to be replaced stays: also where there is room again when the file is closed.
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
	was := noise(49, 1<<10)
	name := s.cleanName(t, "full.img")
	old := s.upload(t, image.New{Name: name}, was)
	failed := fails(t, "cp", file(t, name, noise(50, 8<<20)), m.path(name))
	if !strings.Contains(failed.stderr, "No space left") {
		t.Errorf("cp to a full staging disk: %s", failed.stderr)
	}
	m.staging = filepath.Join(small, "staging")
	m.until("the draft to be kept", func() bool { return m.stagedDrafts()[name].State == "failed" })
	run(t, binary, "staged", "discard", "--yes", "--staging-dir", m.staging, m.stagedDrafts()[name].ID)

	ballast := filepath.Join(small, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(m.path(name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(noise(50, 8<<20)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close: %v", err)
	}
	if left := s.one(t, name); left.ID != old.ID {
		t.Errorf("left is %v", left)
	}
	holds(t, s.one(t, name), was)
}

// A refusal of the content for its size keeps the draft, says where, and leaves no
// image. The caller can tell a quota from an image that is too large for the service.
func TestQuotaRefusal(t *testing.T) {
	extra := file(t, "extra", []byte("[DEFAULT]\nuser_storage_quota = 4194304\n"))
	s := startGlance(t, "GLANCE_SIZE_CAP=2097152", "GLANCE_EXTRA="+extra).service
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
