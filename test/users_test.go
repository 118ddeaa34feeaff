package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/imagefs/imagefs/image"
)

// somebody is a user who has nothing to do with a mount.
const somebody = "12346"

// asUser runs a command as a user without root's rights, and returns what it says.
func asUser(t *testing.T, uid string, command ...string) (string, error) {
	t.Helper()
	return try(t, "setpriv", append([]string{"--reuid", uid, "--regid", uid, "--clear-groups", "--"}, command...)...)
}

// safeMount looks for the mount options that keep what is in an image from being more
// than data.
func safeMount(t *testing.T, dir string) {
	t.Helper()
	infos, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil || len(infos) != 1 {
		t.Fatalf("%d mounts, %v", len(infos), err)
	}
	options := strings.Split(infos[0].Options, ",")
	for _, want := range []string{"nosuid", "nodev"} {
		found := false
		for _, o := range options {
			found = found || o == want
		}
		if !found {
			t.Errorf("mounted without %s: %s", want, infos[0].Options)
		}
	}
	if !strings.Contains(infos[0].VFSOptions, "default_permissions") {
		t.Errorf("the kernel does not check permissions: %s", infos[0].VFSOptions)
	}
}

// Of root's mount other users see nothing; with --allow-other what its modes allow.
func TestOtherUsersOfRootsMount(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	s.upload(t, image.New{Name: "a.img"}, []byte("data"))
	way := t.TempDir()
	if err := os.Chmod(filepath.Dir(way), 0o711); err != nil { // others come as far as the mount
		t.Fatal(err)
	}
	closed := mountOn(t, s)
	safeMount(t, closed.dir)
	for _, command := range [][]string{{"ls", closed.dir}, {"cat", closed.path("a.img")}, {"stat", closed.path("a.img")}, {"touch", closed.path("b.img")}} {
		if out, err := asUser(t, somebody, command...); err == nil || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("%v as another user: %q, %v", command, out, err)
		}
	}
	closed.unmount()

	open := mountOn(t, s, "--allow-other")
	safeMount(t, open.dir)
	if out, err := asUser(t, somebody, "cat", open.path("a.img")); err != nil || out != "data" {
		t.Errorf("a file of mode 0644 with --allow-other: %q, %v", out, err)
	}
	for _, command := range [][]string{{"touch", open.path("b.img")}, {"rm", "-f", open.path("a.img")}, {"chmod", "666", open.path("a.img")}, {"dd", "of=" + open.path("a.img"), "status=none"}} {
		if out, err := asUser(t, somebody, command...); err == nil {
			t.Errorf("%v as another user succeeded: %q", command, out)
		}
	}
	run(t, "chmod", "600", open.path("a.img"))
	if out, err := asUser(t, somebody, "cat", open.path("a.img")); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("a file of mode 0600 with --allow-other: %q, %v", out, err)
	}
	if got := run(t, "cat", open.path("a.img")); got != "data" {
		t.Errorf("its owner reads %q", got)
	}
	open.settled()
}

// A user who asks for what is another's is told whose it is, and not to end that.
func TestOtherUsersAskADaemon(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	home, program := userHome(t, somebody)
	m := mountOn(t, s, "--allow-other")
	for _, command := range [][]string{{"status", m.dir}, {"ls", m.dir}, {"cache", "list", m.dir}, {"unmount", m.dir}} {
		_, err := asUser(t, somebody, append([]string{"env", "HOME=" + home, program}, command...)...)
		if err == nil || !strings.Contains(err.Error(), "was mounted by uid 0") || strings.Contains(err.Error(), "--force") {
			t.Errorf("%v by another user: %v", command, err)
		}
	}
}

// What a user may not write to would keep a mount from working, and doctor says so.
func TestDoctorOfAUserWithoutDirectories(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	home, program := userHome(t, somebody)
	run(t, "install", "-d", "-o", somebody, filepath.Join(home, "own"))
	run(t, "chown", "root", home)
	for _, c := range []struct{ state, cache, staging, bad string }{
		{"own/state", "own/cache", "own/staging", ""},
		{"own/state", "cache", "own/staging", "cache"},
		{"own/state", "own/cache", "staging", "staging"},
		{"state", "own/cache", "own/staging", "log"},
	} {
		out, err := asUser(t, somebody, append([]string{"env", "HOME=" + home, "XDG_STATE_HOME=" + filepath.Join(home, c.state), program, "doctor", "--read-only",
			"--cache-dir", filepath.Join(home, c.cache), "--staging-dir", filepath.Join(home, c.staging)}, s.args...)...)
		if bad := strings.Count(out, "BAD"); (err != nil) != (c.bad != "") || c.bad == "" && bad != 0 || c.bad != "" && (bad != 1 || !strings.Contains(out, "BAD   "+c.bad)) {
			t.Errorf("%+v: %v, %s", c, err, out)
		}
	}
}

// userHome is a directory of a user's own, with a copy of the program: t.TempDir lets no
// other user pass.
func userHome(t *testing.T, uid string) (home, program string) {
	t.Helper()
	home, err := os.MkdirTemp("", "imagefs-test-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	program = filepath.Join(home, "imagefs")
	run(t, "install", "-m", "755", binary, program)
	run(t, "chown", uid+":"+uid, home)
	run(t, "chmod", "755", home)
	return home, program
}

// Of a user's mount others see nothing, nor does root; and the daemon's memory and
// environment are nobody's, not even theirs.
func TestOtherUsersOfAUsersMount(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	s.upload(t, image.New{Name: "a.img"}, []byte("data"))
	home, program := userHome(t, nobody)
	dir := filepath.Join(home, "images")
	run(t, "install", "-d", "-o", nobody, "-g", nobody, dir)
	theirs := func(args ...string) string {
		t.Helper()
		environment := []string{"env", "HOME=" + home, "IMAGEFS_STAGING_DIR=" + home + "/staging", "TMPDIR=" + home, "XDG_RUNTIME_DIR=", "OS_PASSWORD=in the environment"}
		out, err := asUser(t, nobody, append(environment, args...)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	theirs(append(append([]string{program, "mount"}, s.args...), dir)...)
	t.Cleanup(func() {
		if out, err := exec.Command(binary, "unmount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	safeMount(t, dir)
	if got := theirs("cat", filepath.Join(dir, "a.img")); got != "data" {
		t.Errorf("the user reads %q", got)
	}
	if out, err := asUser(t, somebody, "ls", dir); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("another user sees %q, %v", out, err)
	}
	if out, err := try(t, "ls", dir); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("root sees %q, %v", out, err)
	}

	said := theirs(program, "status", dir)
	_, after, _ := strings.Cut(said, "daemon    pid ")
	pid, err := strconv.Atoi(after[:strings.IndexAny(after, ",")])
	if err != nil {
		t.Fatalf("status says %s", said)
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	for _, what := range []string{"environ", "mem", "maps"} {
		if _, err := asUser(t, nobody, "head", "-c", "1", filepath.Join(proc, what)); err == nil {
			t.Errorf("%s of the daemon can be read by its user's other processes", what)
		}
	}
	info, err := os.Stat(filepath.Join(proc, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 {
		t.Errorf("%s belongs to uid %d: the daemon would be dumped", info.Name(), stat.Uid)
	}
	sockets, err := filepath.Glob(filepath.Join(home, "imagefs-"+nobody, "*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("%d sockets, %v", len(sockets), err)
	}
	if mode := run(t, "stat", "-c", "%a", sockets[0], filepath.Dir(sockets[0])); mode != "600\n700\n" {
		t.Errorf("the socket and its directory have modes %q", mode)
	}
}
