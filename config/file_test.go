package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRefusedFiles(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"memory: 1GiB\ncache-dri: /x\n", `:2: unknown key "cache-dri": use cloud, endpoint, `},
		{"memory: 1GiB\n\nmemory: 2GiB\n", `:3: "memory" is given twice`},
		{"streams: many\n", `:1: streams: "many" is not a number`},
		{"a\n", `:1: not a list of options`},
		{"- memory\n", `:1: not a list of options`},
		{"memory: 1GiB\n---\nread-only: true\n", `a second YAML document`},
		{"# none here\n---\nread-only: true\n---\n{", `a second YAML document`},
		{"memory: [1, 2]\n", `:1: memory: takes one plain value`},
		{"memory:\n", `:1: memory: has no value`},
		{"new-tag: {a: b}\n", `:1: new-tag: takes one plain value`},
		{"new-property:\n  a: [1]\n", `:2: new-property: holds more than plain values`},
		{"memory: \"1GiB\n", `mend it`},
		{"cloud: a\nendpoint: http://h\n", `:2: an endpoint and a cloud (from `},
	} {
		path := fileOf(t, tc.text)
		_, _, err := Load(Sources{Host: testHost, File: path})
		if err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %s", tc.text, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line: %v", tc.text, err)
		}
	}
}

func TestEmptyFiles(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		if _, _, err := Load(Sources{Host: testHost, File: fileOf(t, text)}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.yaml"), dir} {
		_, _, err := Load(Sources{Host: testHost, File: path})
		if err == nil || !strings.Contains(err.Error(), "name a file that can be read with --config") {
			t.Errorf("%s: %v", path, err)
		}
	}
	long := fileOf(t, "#"+strings.Repeat("x", maxFile))
	if _, _, err := Load(Sources{Host: testHost, File: long}); err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
		t.Errorf("long file: %v", err)
	}
}

func TestTokenFileMustBePrivate(t *testing.T) {
	path := fileOf(t, "endpoint: http://h\ntoken: secret\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(Sources{Host: testHost, File: path})
	if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("a token others can read: %v", err)
	}
}

// The configuration travels to the daemon as JSON and arrives as it was; no
// other form shows the token.
func TestJSONAndSecrets(t *testing.T) {
	c, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t,
		"endpoint=http://h", "token=geheim", "new-tag=a", "new-property=k=v", "log-level=debug", "list-ttl=1m")})
	if err != nil {
		t.Fatal(err)
	}
	wire, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := json.Unmarshal(wire, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, back); diff != "" || back.Token.Reveal() != "geheim" {
		t.Errorf("(-sent +got):\n%s", diff)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", c.Token)
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), log.String(), c.Token.String()} {
		if strings.Contains(shown, "geheim") {
			t.Errorf("token shows in %s", shown)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64
	}{
		{"256MiB", 256 << 20}, {"20GiB", 20 << 30}, {"1.5 GiB", 3 << 29}, {"100MB", 100e6}, {"4096", 4096}, {"0", 0}, {"2g", 2e9},
	} {
		if got, err := ParseSize(tc.text); err != nil || got != tc.want {
			t.Errorf("%q = %d, %v; want %d", tc.text, got, err, tc.want)
		}
	}
	for _, text := range []string{"", " ", "MiB", "-1", "1XiB", "9EiB0", "16EiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q = %d, want an error", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1: "1B", 1024: "1KiB", 256 << 20: "256MiB", 1536 << 20: "1536MiB", 20 << 30: "20GiB", 123456789: "118MiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 9999).Draw(t, "n") << (10 * rapid.IntRange(0, 4).Draw(t, "unit"))
		if back, err := ParseSize(FormatSize(n)); err != nil || back != n {
			t.Fatalf("%d → %q → %d, %v", n, FormatSize(n), back, err)
		}
	})
}

// What the help shows as a default is what Load uses.
func TestFlagDefaults(t *testing.T) {
	var flags Flags
	for _, o := range Options() {
		f := flags.Flag(o, testHost)
		if o.Name == "memory" && f.String() != "256MiB" {
			t.Errorf("memory's default shows as %q", f.String())
		}
		if o.Usage == "" || o.set == nil || (o.get == nil) != o.List || (o.all == nil) == o.List {
			t.Errorf("option %s is not whole", o.Name)
		}
		if (o.Arg == "") != (o.value(Defaults(testHost)) == "false") {
			t.Errorf("option %s: only switches have no argument", o.Name)
		}
	}
}
