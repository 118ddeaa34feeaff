package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	exitMountDenied = 13
	exitAllowOther  = 15
)

// nobody is a user without rights or a home.
const nobody = "65534"

// contained mounts as a container does whose mounts others see: the daemon runs in
// a pid namespace of its own, for which every caller outside has the pid 0.
func contained(t *testing.T, s service) *mount {
	t.Helper()
	shared := t.TempDir()
	for _, err := range []error{
		syscall.Mount(shared, shared, "", syscall.MS_BIND, ""),
		syscall.Mount("", shared, "", syscall.MS_SHARED, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(shared, 0); err != nil {
			t.Error(err)
		}
	})
	m := &mount{t: t, service: s, dir: filepath.Join(shared, "images"), staging: filepath.Join(t.TempDir(), "staging"), cache: filepath.Join(t.TempDir(), "cache"), log: &lockedBuffer{}, ended: make(chan struct{})}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"--mount", "--propagation", "unchanged", "--pid", "--fork", "--mount-proc", "--", binary, "mount", "--foreground", "--log-level", "debug", "--staging-dir", m.staging, "--cache-dir", m.cache}
	m.daemon = exec.Command("unshare", append(append(args, s.args...), m.dir)...)
	m.daemon.Stdout, m.daemon.Stderr = m.log, m.log
	if err := m.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	var status error
	go func() {
		status = m.daemon.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		if mounted(t, m.dir) {
			if err := syscall.Unmount(m.dir, 0); err != nil {
				t.Errorf("unmount: %v", err)
			}
		}
		<-m.ended
		if status != nil {
			t.Errorf("the daemon ended with %v", status)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", m.log.tail(8000))
		}
	})
	m.until("the mount answers", func() bool {
		if m.hasEnded() {
			t.Fatalf("the daemon ended before it mounted:\n%s", m.log.tail(4000))
		}
		return mounted(t, m.dir)
	})
	return m
}

// Callers whose pid the daemon cannot know read and write as others do, redirect,
// and are interrupted; half a file of one that is killed is not published.
func TestCallersOutsideTheContainer(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := contained(t, s)
		data := noise(90, 2<<20)
		name, both := s.cleanName(t, "contained.img"), s.cleanName(t, "contained-both.img")
		run(t, "cp", file(t, name, data), m.path(name))
		holds(t, s.one(t, name), data)
		if got, err := os.ReadFile(m.path(name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("reading: %v", err)
		}
		run(t, "sh", "-c", "{ echo one; printf two; } > '"+m.path(both)+"'")
		m.settled()
		holds(t, s.one(t, both), []byte("one\ntwo"))
		run(t, "sh", "-c", "printf three >> '"+m.path(both)+"'")
		m.settled()
		holds(t, s.one(t, both), []byte("one\ntwothree"))
		run(t, "mv", m.path(both), m.path(name))
		holds(t, s.one(t, name), []byte("one\ntwothree"))
		run(t, "rm", m.path(name))
		if left := s.images(t, name); len(left) != 0 {
			t.Errorf("rm left %v", left)
		}
	})
}

// A container inside whose processes use a mount of the host: the daemon sees them
// under pids of its own.
func TestCallersInAContainer(t *testing.T) {
	s := services[0]
	m := mountOn(t, s)
	name := s.cleanName(t, "inside.img")
	data := noise(91, 1<<20)
	run(t, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec", `cp "$0" "$1"; cmp "$0" "$1"; { echo one; printf two; } > "$1"`,
		file(t, name, data), m.path(name))
	m.settled()
	holds(t, s.one(t, name), []byte("one\ntwo"))
	if got := strings.Count(m.log.String(), "msg=committed"); got != 2 {
		t.Errorf("%d commits, want 2", got)
	}
}

// Without CAP_SYS_ADMIN nobody mounts, not even root; with it in a namespace of
// one's own, everything works.
func TestWithoutCapSysAdmin(t *testing.T) {
	s := services[0]
	dir := t.TempDir()
	cleanLog(t, dir)
	command := append([]string{"--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--", binary, "mount"}, s.args...)
	failed := fails(t, "setpriv", append(command, dir)...)
	if failed.code != exitMountDenied || strings.Contains(failed.stderr, "\n") || !strings.Contains(failed.stderr, "SYS_ADMIN") {
		t.Errorf("exit code %d, %q", failed.code, failed.stderr)
	}
	if mounted(t, dir) {
		t.Error("it is mounted")
	}
	name := s.cleanName(t, "namespaced.img")
	data := noise(92, 1<<20)
	script := `"$1" mount --endpoint "$2" --staging-dir "$3/staging" --cache-dir "$3/cache" "$4"; cp "$0" "$4"; cmp "$0" "$4/namespaced.img"; ls "$4"; "$1" unmount "$4"`
	out := run(t, "unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, file(t, name, data), binary, s.args[1], t.TempDir(), dir)
	if !strings.Contains(out, name) {
		t.Errorf("ls shows %q", out)
	}
	holds(t, s.one(t, name), data)
}

// Drafts may lie on an overlay, as everything in a container does.
func TestStagingOnOverlay(t *testing.T) {
	s := services[0]
	layers := t.TempDir()
	if err := syscall.Mount("none", layers, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	merged := t.TempDir()
	t.Cleanup(func() {
		for _, dir := range []string{merged, layers} {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		}
	})
	for _, dir := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(layers, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	options := "lowerdir=" + layers + "/lower,upperdir=" + layers + "/upper,workdir=" + layers + "/work"
	if err := syscall.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	m := mountOn(t, s, "--staging-dir", filepath.Join(merged, "staging"), "--cache-dir", filepath.Join(merged, "cache"))
	name := s.cleanName(t, "overlay.img")
	data := append(make([]byte, 1<<20), noise(93, 1<<20)...)
	run(t, "cp", "--sparse=always", file(t, name, data), m.path(name))
	run(t, "dd", "if=/dev/zero", "of="+m.path(name), "bs=1000", "seek=1200", "count=3", "conv=notrunc", "status=none")
	clear(data[1200*1000 : 1203*1000])
	holds(t, s.one(t, name), data)
	run(t, "fallocate", "-p", "-o", "1500000", "-l", "100000", m.path(name))
	clear(data[1500000:1600000])
	holds(t, s.one(t, name), data)
}

// A user mounts through fusermount3, owns what he sees and is alone in there;
// --allow-other needs the administrator's word.
func TestUserMounts(t *testing.T) {
	s := services[0]
	home, err := os.MkdirTemp("", "imagefs-test-user-") // t.TempDir lets no other user pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(home, "images")
	run(t, "install", "-m", "755", binary, filepath.Join(home, "imagefs"))
	run(t, "install", "-d", "-o", nobody, "-g", nobody, dir)
	run(t, "chown", nobody+":"+nobody, home)
	run(t, "chmod", "755", home)
	noOthers := file(t, "fuse.conf", nil)
	// as runs a script as the user, where fuse.conf does not have user_allow_other.
	as := func(script string, args ...string) []string {
		user := []string{"--mount", "--propagation", "unchanged", "sh", "-ec",
			`mount --make-private / && mount --bind "$0" /etc/fuse.conf && shift 0 && exec setpriv --reuid ` + nobody + ` --regid ` + nobody + ` --clear-groups -- env HOME="` + home + `" IMAGEFS_STAGING_DIR="` + home + `/staging" TMPDIR="` + home + `" XDG_RUNTIME_DIR= sh -ec '` + script + `' "$@"`,
			noOthers}
		return append(user, args...)
	}
	args := append([]string{filepath.Join(home, "imagefs"), dir}, s.args...)
	failed := fails(t, "unshare", as(`"$0" mount --allow-other "$2" "$3" "$1"`, args...)...)
	if failed.code != exitAllowOther || !strings.Contains(failed.stderr, "user_allow_other") || strings.Contains(failed.stderr, "\n") {
		t.Errorf("--allow-other: exit code %d, %q", failed.code, failed.stderr)
	}
	if mounted(t, dir) {
		t.Error("it is mounted all the same")
	}
	name := s.cleanName(t, "user.img")
	out := run(t, "unshare", as(`"$0" mount "$2" "$3" "$1"; echo data > "$1/user.img"; cat "$1/user.img"; stat -c "%u:%g" "$1/user.img"; "$0" unmount "$1"`, args...)...)
	if out != "data\n"+nobody+":"+nobody+"\n" {
		t.Errorf("the user sees %q", out)
	}
	holds(t, s.one(t, name), []byte("data\n"))
}
