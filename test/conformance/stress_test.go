package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imagefs/imagefs/test/daemon"
)

var stressFor = flag.Duration("stress", 3*time.Second, "for how long each of stress-ng's stressors runs")

// ours are stress-ng's stressors of the classes filesystem and io that run: which are named,
// for those that a later stress-ng brings may be about anything.
var ours = []string{
	"access", "aio", "aiol", "chattr", "chmod", "chown", "copy-file", "dentry", "dnotify", "dup", "fallocate", "fcntl", "file-ioctl",
	"filename", "flock", "fpunch", "fsize", "fstat", "getdent", "handle", "hdd", "inode-flags", "ioprio", "lease", "locka", "lockf",
	"lockofd", "mknod", "open", "readahead", "rename", "revio", "seek", "sync-file", "touch", "utime",
}

// notOurs are the others, for what a mount does not have, or about something else.
var notOurs = map[string]string{
	"bind-mount": "mounts directories over others",
	"binderfs":   "is about another filesystem",
	"chdir":      noDirectories,
	"dir":        noDirectories,
	"dirdeep":    noDirectories,
	"dirmany":    noDirectories,
	"inotify":    noDirectories,
	"eventfd":    "is about no files",
	"fanotify":   "watches all mounts of the machine",
	"fiemap":     "FIEMAP is not there",
	"io":         "writes back all filesystems of the machine",
	"io-uring":   "stress-ng 0.15 fails on a local disk, too",
	"iomix":      "writes back all filesystems of the machine",
	"link":       "links are refused",
	"symlink":    "links are refused",
	"procfs":     "is about another filesystem",
	"rawdev":     "is about block devices",
	"verity":     "is not there",
	"xattr":      "extended attributes are those of the image, `user.image.*`",
}

const noDirectories = "makes directories: there is one"

// stressMarkdown is what the document says of it.
func stressMarkdown() string {
	why := map[string][]string{}
	for name, reason := range notOurs {
		why[reason] = append(why[reason], "`"+name+"`")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Of stress-ng's stressors of the classes `filesystem` and `io`, all at once, these are run: `%s`. These do not apply:\n\n| stressors | |\n|---|---|\n",
		strings.Join(ours, "`, `"))
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		slices.Sort(why[reason])
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(why[reason], ", "), reason)
	}
	return b.String()
}

// What stress-ng does to filesystems, much of it wrong, ends in time and with the errors
// that it expects, and leaves a mount that works, with nothing in it.
func TestStress(t *testing.T) {
	root := t.TempDir()
	s := daemon.Serve(t, filepath.Join(root, "served"))
	d := daemon.Run(t, binary, root, "--endpoint", s.URL())
	below, preload := filepath.Join(root, "below"), filepath.Join(root, "onmount.so")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", preload, "testdata/onmount.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	// filename empties the directory that it takes for its own.
	crowd := slices.DeleteFunc(applicable(t), func(name string) bool { return name == "filename" })
	t.Logf("%d stressors at once, then filename", len(crowd))
	for _, stressors := range [][]string{crowd, {"filename"}} {
		args := []string{"--temp-path", below, "--verify", "--timeout", fmt.Sprintf("%ds", int(stressFor.Seconds()))}
		for _, of := range []string{"hdd", "fallocate", "readahead", "revio", "sync-file"} {
			args = append(args, "--"+of+"-bytes", "16M")
		}
		args = append(args, "--seek-size", "16M", "--copy-file-bytes", "128M") // the least
		for _, name := range stressors {
			args = append(args, "--"+name, "1")
		}
		ctx, cancel := context.WithTimeout(t.Context(), *stressFor+daemon.Patience)
		stress := exec.CommandContext(ctx, "stress-ng", args...)
		stress.Env = append(os.Environ(), "LD_PRELOAD="+preload, "ONMOUNT_BELOW="+below, "ONMOUNT_AT="+d.Mountpoint)
		stress.WaitDelay = time.Second
		out, err := stress.CombinedOutput()
		cancel()
		for _, bad := range []string{" fail:", " error:", "aborted early", "skipp"} {
			if err == nil && strings.Contains(string(out), bad) {
				err = fmt.Errorf("it says %q", bad)
			}
		}
		if err != nil {
			t.Errorf("stress-ng: %v:\n%s", err, out)
		}
	}

	if err := d.Settled(0); err != nil {
		t.Error(err)
	}
	list, err := os.ReadDir(d.Mountpoint)
	if err != nil || len(list) != 0 {
		t.Errorf("the mount lists %v, %v", list, err)
	}
	after := filepath.Join(d.Mountpoint, "after")
	if err := errors.Join(os.WriteFile(after, content(), 0o600), has(after, content())); err != nil {
		t.Error(err)
	}
	if err := errors.Join(d.Unmount(), s.Holds(t.Context(), map[string][]byte{"after": content()})); err != nil {
		t.Error(err)
	}
	if found := d.Complaints(); len(found) > 0 {
		t.Errorf("the log complains: %q", found)
	}
}

// applicable are the stressors that this stress-ng has of ours.
func applicable(t *testing.T) []string {
	t.Helper()
	var there []string
	for _, class := range []string{"filesystem", "io"} {
		out, err := exec.Command("stress-ng", "--class", class+"?").CombinedOutput()
		_, list, ok := strings.Cut(string(out), "stressors:")
		if !ok {
			t.Fatalf("stress-ng says of its class %s: %s, %v", class, out, err)
		}
		for _, name := range strings.Fields(list) {
			switch {
			case slices.Contains(there, name):
			case slices.Contains(ours, name):
				there = append(there, name)
			case notOurs[name] == "":
				t.Logf("%s is in no list yet", name)
			}
		}
	}
	if len(there) < len(ours)/2 {
		t.Fatalf("stress-ng has only %q of %q", there, ours)
	}
	return there
}
