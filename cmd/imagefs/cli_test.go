package main

import (
	"context"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/config"
)

// runHere runs a command in this process.
func runHere(args ...string) (stdout, stderr string, code exitCode) {
	var out, err lockedBuffer
	code = exitCode(run(context.Background(), args, streams{In: strings.NewReader(""), Out: &out, Err: &err}))
	return out.String(), err.String(), code
}

func TestUsageErrors(t *testing.T) {
	t.Setenv("IMAGEFS_STREAMS", "")
	for _, tc := range []struct {
		args string
		want string
	}{
		{"", "imagefs: no command given: see imagefs --help"},
		{"mont", `imagefs: unknown command "mont": see imagefs --help`},
		{"--verbose", "imagefs: unknown flag: --verbose: see imagefs --help"},
		{"mount", "imagefs: the mountpoint is missing: see imagefs mount --help"},
		{"mount a b", `imagefs: unexpected argument "b": see imagefs mount --help`},
		{"mount --memory lots a", `imagefs: --memory: "lots" is not a size: write for example 256MiB or 2GiB`},
		{"mount --memory", "imagefs: flag needs an argument: --memory: see imagefs mount --help"},
		{"mount --config /nonexistent a", "imagefs: /nonexistent: no such file or directory: name a file that can be read with --config"},
		{"mount --cloud a --endpoint http://h m", "imagefs: --endpoint: an endpoint and a cloud (from --cloud) are both given: give one of them"},
		{"unmount", "imagefs: the mountpoint is missing: see imagefs unmount --help"},
		{"status --json --watch a", "imagefs: --json and --watch are both given: give one of them: see imagefs status --help"},
		{"status a b", `imagefs: unexpected argument "b": see imagefs status --help`},
		{"serve", "imagefs: --dir DIR is missing: see imagefs serve --help"},
		{"serve --dir /x --latency -1s", "imagefs: --latency: a time cannot be negative: see imagefs serve --help"},
		{"serve --dir /x --latency soon", `imagefs: invalid argument "soon" for "--latency" flag: time: invalid duration "soon": see imagefs serve --help`},
		{"demo a b", `imagefs: unexpected argument "b": see imagefs demo --help`},
		{"version x", `imagefs: unexpected argument "x": see imagefs version --help`},
		{"daemon", "imagefs: the mountpoint is missing: see imagefs daemon --help"},
	} {
		_, stderr, code := runHere(strings.Fields(tc.args)...)
		if code != exitUsage || stderr != tc.want+"\n" {
			t.Errorf("imagefs %s: code %d, %q, want %q", tc.args, code, stderr, tc.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "help mount", "mount --help", "unmount -h", "status -h", "serve -h", "demo -h", "version -h", "help exit-codes", "completion bash"} {
		out, stderr, code := runHere(strings.Fields(args)...)
		if code != exitOK || stderr != "" || len(out) < 100 {
			t.Errorf("imagefs %s: code %d, %d bytes, %q", args, code, len(out), stderr)
		}
		if args != "completion bash" && args != "help exit-codes" {
			for _, line := range strings.Split(out, "\n") {
				if len(line) > 140 {
					t.Errorf("imagefs %s: a line of %d columns: %s", args, len(line), line)
				}
			}
		}
		if strings.Contains(out, "daemon  ") {
			t.Errorf("imagefs %s shows the hidden command", args)
		}
	}
	out, _, _ := runHere("mount", "--help")
	for _, o := range config.Options() {
		if shown := strings.Contains(out, "--"+o.Name+" ") && strings.Contains(out, o.Usage); shown == o.Secret {
			t.Errorf("--%s is in the help of mount: %v", o.Name, shown)
		}
	}
}

func TestVersion(t *testing.T) {
	out, _, code := runHere("version")
	if code != exitOK || !strings.HasPrefix(out, "imagefs ") || !strings.Contains(out, "\ncommit  ") || !strings.Contains(out, "\ngo      go1.") {
		t.Errorf("code %d: %q", code, out)
	}
}
