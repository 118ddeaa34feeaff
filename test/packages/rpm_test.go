package packages

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// What rpm calls the architectures.
var rpmArchitecture = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// What the deb has elsewhere than the rpm.
var debToRPM = strings.NewReplacer(
	"/usr/share/zsh/vendor-completions/", "/usr/share/zsh/site-functions/",
	"/usr/share/doc/imagefs/copyright", "/usr/share/licenses/imagefs/LICENSE")

// installRPM: the rpms have what the debs have, and want no more than fuse3, as Fedora and
// openSUSE call it, too; that of this machine installs in an empty root, as it says, and is
// removed without a trace. What it would be installed with is not there: no mirror is asked.
func installRPM(t *testing.T, dist string) {
	for architecture, name := range rpmArchitecture {
		rpm := one(t, dist+"/*."+name+".rpm")
		for query, want := range map[string]string{
			"%{NAME} %{ARCH} %{BUILDHOST}": "imagefs " + name + " imagefs", // of no machine
			"[%{REQUIRENAME} ]":            "fuse3 ",
			"[%{RECOMMENDNAME} ]":          "ca-certificates ",
			"%{PREIN}%{POSTIN}%{PREUN}":    "(none)(none)(none)",
		} {
			if got := run(t, "rpm", "-qp", "--qf", query, rpm); got != want {
				t.Errorf("%s: %s is %q, not %q", rpm, query, got, want)
			}
		}
		var have, want []string
		for line := range strings.Lines(run(t, "rpm", "-qp", "--qf", `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]`, rpm)) {
			if line[0] != 'd' {
				have = append(have, strings.TrimSpace(line))
			}
		}
		for line := range strings.Lines(run(t, "dpkg-deb", "--contents", one(t, dist+"/*_"+architecture+".deb"))) {
			if f := strings.Fields(line); f[0][0] != 'd' {
				want = append(want, f[0]+" "+f[1]+" "+debToRPM.Replace(strings.TrimPrefix(f[5], ".")))
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s has\n%s\nand the deb\n%s", rpm, strings.Join(have, "\n"), strings.Join(want, "\n"))
		}
	}

	root := t.TempDir()
	rpm := func(args ...string) string {
		t.Helper()
		return run(t, "rpm", append([]string{"--root", root, "--dbpath", "/rpmdb"}, args...)...)
	}
	t.Cleanup(func() { run(t, "rm", "-rf", "--one-file-system", root) })
	rpm("--install", "--nodeps", one(t, dist+"/*."+rpmArchitecture[runtime.GOARCH]+".rpm"))
	rpm("--verify", "--nodeps", "imagefs")
	if out := run(t, filepath.Join(root, "usr/bin/imagefs"), "version"); !strings.HasPrefix(out, "imagefs 0.") {
		t.Errorf("the program of the rpm: %s", out)
	}
	rpm("--erase", "imagefs")
	if left := run(t, "find", root, "-name", "*imagefs*"); left != "" {
		t.Errorf("left by the rpm: %s", left)
	}
}
