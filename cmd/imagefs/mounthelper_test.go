package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMountCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string // the flags and operands behind "mount", or the error
	}{
		{"cloud:a /m", "--cloud=a -- /m"},
		{"cloud:a /m -o rw", "--cloud=a -- /m"},
		{"-o ro,allow_other cloud:a -m", "unknown option -m"},
		{"https://h/image /m -o ro,_netdev,nofail,x-systemd.automount,X-mount.mkdir,user,noatime,defaults", "--endpoint=https://h/image --read-only -- /m"},
		{"imagefs /m -n -v -t imagefs -oconfig=/etc/a.yaml,allow_other", "--config=/etc/a.yaml --allow-other -- /m"},
		{"cloud:a /m -o list_ttl=5m,cache-size=1GiB -o tag=x,tag=y,insecure", "--cloud=a --list-ttl=5m --cache-size=1GiB --tag=x --tag=y --insecure -- /m"},
		{"cloud:a /m -nvo new_property=os=x", "--cloud=a --new-property=os=x -- /m"},
		{"cloud:a -sf /m -o whatever", ""},
		{"cloud:a /m -s -o whatever,ro", "--cloud=a --read-only -- /m"},
		{"cloud:a /m -o whatever", `unknown option "whatever": those of imagefs mount --help are known here, and config=FILE`},
		{"cloud:a /m -o rw,noexec,nosuid,nodev,user", "option noexec, which user, users, owner and group bring, is not kept: add exec"},
		{"cloud:a /m -o rw,nosuid,nodev,user,exec", "--cloud=a -- /m"},
		{"cloud:a /m -o suid", `unknown option "suid": those of imagefs mount --help are known here, and config=FILE`},
		{"cloud:a /m -o foreground", `unknown option "foreground": those of imagefs mount --help are known here, and config=FILE`},
		{"cloud:a /m -o cloud=b", `unknown option "cloud": those of imagefs mount --help are known here, and config=FILE`},
		{"cloud:a /m -o password=secret", `unknown option "password": those of imagefs mount --help are known here, and config=FILE`},
		{"cloud:a /m -o memory", "option memory has no value: write memory=SIZE"},
		{"cloud:a /m -o token=secret", "option token: others can read fstab and command lines: put it into the file of config="},
		{"cloud:a /m -o remount,ro", "a mount cannot be changed: unmount it, and mount it again"},
		{"cloud:a /m -o", "option -o has no value"},
		{"cloud:a /m -N /proc/1/ns/mnt", "option -N: another mount namespace is not supported: use nsenter"},
		{"cloud:a", "give a source and a mountpoint: mount -t imagefs cloud:NAME DIRECTORY"},
		{"cloud: /m", `unknown source "cloud:": write cloud:NAME for an entry of clouds.yaml, the URL of an Image API, or imagefs if the file of config= or the environment names it`},
	} {
		own, err := mountCommandLine(strings.Fields(tc.args))
		got := strings.TrimPrefix(strings.Join(own, " "), "mount ")
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.args, got, tc.want)
		}
	}
}

func TestHelperCodes(t *testing.T) {
	got := map[string]int{}
	for _, line := range []string{
		"imagefs mount", "mount.imagefs a", "mount.imagefs -f cloud:a /m", "/sbin/mount.imagefs cloud:a /m -o memory=lots", "mount.imagefs http://127.0.0.1:9 /nonexistent",
	} {
		words := strings.Fields(line)
		var out, err lockedBuffer
		got[line] = runAs(context.Background(), words[0], words[1:], streams{In: strings.NewReader(""), Out: &out, Err: &err})
		if (got[line] == 0) != (err.String() == "") {
			t.Errorf("%s: %d, and says %q", line, got[line], err.String())
		}
	}
	want := map[string]int{
		"imagefs mount": int(exitUsage), "mount.imagefs a": 1, "mount.imagefs -f cloud:a /m": 0, "/sbin/mount.imagefs cloud:a /m -o memory=lots": 1,
		"mount.imagefs http://127.0.0.1:9 /nonexistent": 32,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// mount(8), in a mount namespace whose /usr/sbin has the helper, with the options of an
// fstab.
func TestMountByMount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := service(t, nil)
	if err := os.Symlink(w.program, filepath.Join(w.mkdir("sbin"), mountHelper)); err != nil {
		t.Fatal(err)
	}
	w.mkdir("m")
	fstab := w.write("fstab", endpoint+" "+filepath.Join(w.dir, "m")+" imagefs allow_other,_netdev,nofail,uid=7,x-systemd.automount,list_ttl=5m 0 0\n")
	script := `set -e
mount -t overlay -o lowerdir="$PWD/sbin:/usr/sbin" overlay /usr/sbin
mount -T ` + fstab + ` -a
mount -T ` + fstab + ` -a # is mounted already
findmnt -n -o SOURCE,FSTYPE,OPTIONS "$PWD/m"
printf data >m/new.img
stat -c '%u %s' m/new.img
umount "$PWD/m"
mount -t imagefs ` + endpoint + ` "$PWD/m" -o ro
cat m/new.img
if touch m/other 2>/dev/null; then echo "not read-only"; fi
"$PROGRAM" unmount "$PWD/m"
`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script)
	if os.Geteuid() != 0 {
		cmd = exec.Command("sudo", append([]string{"-n", "-E"}, cmd.Args...)...)
	}
	cmd.Dir, cmd.Env, cmd.WaitDelay = w.dir, append(w.env, "PROGRAM="+w.program), patience
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := endpoint + " fuse.imagefs rw,nosuid,nodev"
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(got) != 3 || !strings.HasPrefix(got[0], want) || !strings.Contains(got[0], "allow_other") || got[1] != "7 4" || got[2] != "data" {
		t.Errorf("got %q, want %q, with allow_other, 7 4, data", got, want)
	}
}
