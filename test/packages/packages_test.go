package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a command as root and returns what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", cmd, err, out, stderr.Bytes())
	}
	return string(out)
}

// dist builds for all architectures and returns the directory.
func dist(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dist")
	if out, err := exec.Command("make", "-s", "-C", "../..", "dist", "DIST="+dir).CombinedOutput(); err != nil {
		t.Fatalf("make dist: %v: %s", err, out)
	}
	return dir
}

// one is the one file that the pattern names.
func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return found[0]
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPackages: two builds are equal; what they have can be installed, works, and is removed
// without a trace.
func TestPackages(t *testing.T) {
	first, second := dist(t), dist(t)
	if a, b := read(t, first+"/SHA256SUMS"), read(t, second+"/SHA256SUMS"); a != b || strings.Count(a, "\n") != 8 {
		t.Errorf("two builds differ, or are not two of a program, an SBOM, a deb and an rpm:\n%s\n%s", a, b)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		if sbom := read(t, filepath.Join(first, "imagefs-linux-"+architecture+".cdx.json")); !strings.Contains(sbom, "pkg:golang/github.com/hanwen/go-fuse/v2@") {
			t.Errorf("the SBOM of %s does not know go-fuse", architecture)
		}
	}
	t.Run("deb", func(t *testing.T) { installDeb(t, first) })
	t.Run("rpm", func(t *testing.T) { installRPM(t, first) })
	t.Run("foreign", func(t *testing.T) { runForeign(t, first) })
}

// installDeb: the deb installs in a clean Debian, which it then is again when it was removed.
func installDeb(t *testing.T, dist string) {
	root := filepath.Join(t.TempDir(), "root")
	t.Cleanup(func() { run(t, "rm", "-rf", "--one-file-system", root) })
	run(t, "mmdebstrap", "--quiet", "--variant=apt", "--include=systemd-sysv,dbus", codename(t), root)
	run(t, "cp", one(t, dist+"/*_"+runtime.GOARCH+".deb"), filepath.Join(root, "imagefs.deb"))
	run(t, "cp", "inside.sh", root)
	// A mount and pid namespace of its own: nothing is left mounted or running, however it ends.
	out := run(t, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", `
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot "$1" bash /inside.sh`, "sh", root)
	if !strings.HasSuffix(out, "all well\n") {
		t.Errorf("in the clean root: %s", out)
	}
	t.Run("boot", func(t *testing.T) { boot(t, root) })
}

// codename is of this Debian, or of the one that the tests were made with.
func codename(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(read(t, "/etc/os-release")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok && strings.Contains(read(t, "/etc/os-release"), "ID=debian") {
			return name
		}
	}
	return "bookworm"
}

// TestUnit: systemd takes the unit that the packages bring.
func TestUnit(t *testing.T) {
	dir := t.TempDir()
	unit := strings.ReplaceAll(read(t, "../../packaging/imagefs@.service"), "/usr/bin/imagefs", "/bin/true") // verify wants to find the program
	path := filepath.Join(dir, "imagefs@mycloud.service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), "imagefs@") {
		t.Errorf("%v: %s", err, out)
	}
}

// unitLine is the command of a line of the unit as systemd gives it to exec, with a directory
// and a program in the place of the real ones.
func unitLine(t *testing.T, key, dir, program string) string {
	t.Helper()
	for line := range strings.Lines(read(t, "../../packaging/imagefs@.service")) {
		if command, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.NewReplacer("$$", "$", "/srv/imagefs/%i", dir, "/usr/bin/imagefs", program).Replace(strings.TrimLeft(command, "-"))
		}
	}
	t.Fatalf("the unit has no %s", key)
	return ""
}

// TestUnitMountpoint: other users get to the mount.
func TestUnitMountpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "imagefs", "mycloud")
	if out, err := exec.Command("sh", "-c", "umask 077; "+unitLine(t, "ExecStartPre", dir, "")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// TestUnitLeavesOthers: what a killed daemon has left is taken away, and not a mount that
// kept the unit from mounting.
func TestUnitLeavesOthers(t *testing.T) {
	for result, want := range map[string]string{"exit-code": "", "signal": "unmount --force /dir\n", "watchdog": "unmount --force /dir\n", "timeout": "unmount --force /dir\n"} {
		cmd := exec.Command("sh", "-c", unitLine(t, "ExecStopPost", "/dir", "echo"))
		cmd.Env = append(os.Environ(), "SERVICE_RESULT="+result)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v", result, out, err)
		}
	}
}

// TestUnitReload: a reload is a SIGHUP for the daemon, and nothing else.
func TestUnitReload(t *testing.T) {
	daemon := exec.Command("sleep", "60")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", unitLine(t, "ExecReload", "", ""))
	cmd.Env = append(os.Environ(), "MAINPID="+strconv.Itoa(daemon.Process.Pid))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%q, %v", out, err)
		_ = daemon.Process.Kill() // it would go on
	}
	if err := daemon.Wait(); err == nil || err.Error() != "signal: hangup" {
		t.Errorf("it ended so: %v", err)
	}
}
