package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testHost = Host{UID: 1000, GID: 100, StateHome: "/home/a/.local/state", CacheHome: "/home/a/.cache"}

// flagsOf notes "name=value" pairs as the command line would.
func flagsOf(t *testing.T, pairs ...string) *Flags {
	t.Helper()
	flags := &Flags{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		o, ok := find(Options(), name)
		if !ok {
			t.Fatalf("no option %q", name)
		}
		if err := flags.Flag(o, testHost).Set(value); err != nil {
			t.Fatal(err)
		}
	}
	return flags
}

func envOf(pairs ...string) func(string) string {
	return func(name string) string {
		for _, pair := range pairs {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v
			}
		}
		return ""
	}
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	got, origins, err := Load(Sources{Host: testHost})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		UID: 1000, GID: 100, Memory: 256 << 20, Streams: 32, CacheDir: "/home/a/.cache/imagefs", CacheSize: 20 << 30, StagingDir: "/home/a/.local/state/imagefs/staging",
		ListTTL: 30 * time.Second, StallTimeout: time.Minute, StopTimeout: time.Minute, AbandonedTTL: 7 * 24 * time.Hour, LogLevel: slog.LevelInfo, LogFormat: LogText,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	for _, o := range Options() {
		if origins[o.Name] != originDefault {
			t.Errorf("origin of %s = %q", o.Name, origins[o.Name])
		}
	}
	root, _, err := Load(Sources{Host: Host{}})
	if err != nil || root.StagingDir != "/var/lib/imagefs/staging" {
		t.Errorf("root's staging = %q, %v", root.StagingDir, err)
	}
}

// Every option, each from its own source, is found where it belongs.
func TestEveryOptionFromEverySource(t *testing.T) {
	values := map[string][2]string{ // a value and how the config shows it
		"cloud": {"prod", "prod"}, "endpoint": {"https://glance.example/image/", "https://glance.example/image"},
		"token": {"gAAAA", hidden}, "streams": {"7", "7"}, "list-ttl": {"5m", "5m0s"}, "abandoned-ttl": {"48h", "2d"},
		"insecure": {"true", "true"}, "foreground": {"true", "true"}, "read-only": {"true", "true"}, "allow-other": {"true", "true"},
		"uid": {"33", "33"}, "gid": {"44", "44"}, "memory": {"2GiB", "2GiB"}, "staging-dir": {"/s/t", "/s/t"}, "cache-dir": {"/c/d", "/c/d"}, "cache-size": {"3GiB", "3GiB"},
		"log-level": {"WARN", "warn"}, "log-format": {"json", "json"}, "new-visibility": {"community", "community"},
		"new-property": {"a=b=c", "a=b=c"}, "new-tag": {"x", "x"}, "store": {"fast", "fast"},
		"metrics": {":09092", "127.0.0.1:9092"}, "pprof": {"true", "true"},
		"write-all-projects": {"true", "true"}, "trash": {"168h", "7d"}, "writeback": {"true", "true"}, "stop-timeout": {"2h", "2h0m0s"},
		"stall-timeout": {"5m", "5m0s"},
		"visibility":    {"public", "public"}, "owner": {"p1", "p1"}, "tag": {"x", "x"}, "name": {"a*", "a*"}, "status": {"queued", "queued"},
		"format": {"raw", "raw"}, "hidden": {"true", "true"}, "community": {"true", "true"}, "member-status": {"pending", "pending"},
	}
	for _, o := range Options() {
		value, ok := values[o.Name]
		if !ok {
			t.Errorf("option %s has no case here", o.Name)
			continue
		}
		// a token needs an endpoint, and its file must be private (fileOf makes it so)
		extra, extraLine := []string(nil), ""
		switch o.Name {
		case "token":
			extra, extraLine = []string{"endpoint=http://h"}, "endpoint: http://h\n"
		case "pprof": // it is served beside the metrics
			extra, extraLine = []string{"metrics=[::1]:1"}, "metrics: \"[::1]:1\"\n"
		}
		line := extraLine + o.Name + ": " + value[0] + "\n"
		path := fileOf(t, line)
		sources := map[string]Sources{
			path:          {Host: testHost, File: path},
			o.Env():       {Host: testHost, Getenv: envOf(o.Env() + "=" + value[0]), Flags: flagsOf(t, extra...)},
			"--" + o.Name: {Host: testHost, Flags: flagsOf(t, append(extra, o.Name+"="+value[0])...)},
		}
		for origin, s := range sources {
			c, origins, err := Load(s)
			if err != nil {
				t.Errorf("%s from %s: %v", o.Name, origin, err)
				continue
			}
			if got := o.value(c); got != value[1] {
				t.Errorf("%s from %s = %q, want %q", o.Name, origin, got, value[1])
			}
			if !strings.HasPrefix(origins[o.Name], origin) {
				t.Errorf("%s: origin %q, want %q", o.Name, origins[o.Name], origin)
			}
		}
	}
}

func TestPrecedence(t *testing.T) {
	path := fileOf(t, "# site\nmemory: 1GiB\nstreams: 2\nlist-ttl: 1m\nnew-tag: [file, other]\nnew-property: {a: 1, b: \"x,y\"}\n")
	c, origins, err := Load(Sources{
		Host:   testHost,
		File:   path,
		Getenv: envOf("IMAGEFS_STREAMS=3", "IMAGEFS_LIST_TTL=2m", "IMAGEFS_NEW_TAG=e1,e2", "IMAGEFS_STORE="),
		Flags:  flagsOf(t, "list-ttl=3m", "list-ttl=4m", "new-tag=f1", "new-tag=f2", "new-tag=f1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Memory != 1<<30 || c.Streams != 3 || c.ListTTL != 4*time.Minute {
		t.Errorf("memory %d, streams %d, ttl %s", c.Memory, c.Streams, c.ListTTL)
	}
	if diff := cmp.Diff([]string{"f1", "f2"}, c.NewTags); diff != "" {
		t.Errorf("tags: a later source replaces the list:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "x,y"}, c.NewProperties); diff != "" {
		t.Errorf("properties:\n%s", diff)
	}
	if origins["memory"] != path+":2" || origins["streams"] != "IMAGEFS_STREAMS" || origins["store"] != originDefault {
		t.Errorf("origins %v", origins)
	}
}

func TestOpenStackVariables(t *testing.T) {
	for _, tc := range []struct {
		name         string
		env          []string
		flags        []string
		cloud, token string
	}{
		{"cloud", []string{"OS_CLOUD=a"}, nil, "a", ""},
		{"ours over OS_CLOUD", []string{"OS_CLOUD=a", "IMAGEFS_CLOUD=b"}, nil, "b", ""},
		{"flag over all", []string{"OS_CLOUD=a", "IMAGEFS_CLOUD=b"}, []string{"cloud=c"}, "c", ""},
		{"an endpoint needs no cloud", []string{"OS_CLOUD=a", "OS_TOKEN=t"}, []string{"endpoint=http://h"}, "", "t"},
		{"token flag over OS_TOKEN", []string{"OS_TOKEN=t"}, []string{"endpoint=http://h", "token=u"}, "", "u"},
		{"OS_TOKEN without endpoint is Keystone's", []string{"OS_TOKEN=t"}, nil, "", ""},
	} {
		c, _, err := Load(Sources{Host: testHost, Getenv: envOf(tc.env...), Flags: flagsOf(t, tc.flags...)})
		if err != nil || c.Cloud != tc.cloud || c.Token.Reveal() != tc.token {
			t.Errorf("%s: cloud %q token %q, %v", tc.name, c.Cloud, c.Token.Reveal(), err)
		}
	}
}

func TestRefusedFlags(t *testing.T) {
	for _, tc := range []struct{ flags, want string }{
		{"memory=lots", `--memory: "lots" is not a size: write for example 256MiB or 2GiB`},
		{"memory=", `--memory: "" is not a size`},
		{"memory=1MiB", `--memory: "1MiB" is too little to work with: use 16MiB or more`},
		{"memory=15EiB", `--memory: "15EiB" is more than any machine has`},
		{"streams=0", `--streams: "0" is not a number of requests: use 1 to 256`},
		{"streams=257", `--streams: "257"`},
		{"list-ttl=30", `--list-ttl: "30" is not a duration from 1ms to 24h`},
		{"abandoned-ttl=a week", `--abandoned-ttl: "a week" is not a duration: write for example 36h`},
		{"abandoned-ttl=-1h", `--abandoned-ttl: "-1h"`},
		{"list-ttl=-1s", `--list-ttl: "-1s"`},
		{"stall-timeout=1s", `--stall-timeout: "1s" is not a duration from 2s to 1h`},
		{"stall-timeout=2h", `--stall-timeout: "2h"`},
		{"stop-timeout=60", `--stop-timeout: "60" is not a duration from 0s to 720h`},
		{"stop-timeout=721h", `--stop-timeout: "721h"`},
		{"list-ttl=0s", `--list-ttl: "0s"`},
		{"trash=7", `--trash: "7" is not a duration: write for example 36h or 7d`},
		{"trash=1ms", `--trash: "1ms" is neither 0 nor from 1s to 3650d`},
		{"trash=4000d", `--trash: "4000d"`},
		{"uid=root", `--uid: "root" is not a numeric id`},
		{"gid=4294967295", `--gid: "4294967295"`},
		{"read-only=maybe", `--read-only: "maybe" is neither true nor false`},
		{"metrics=9092", `--metrics: "9092" is not HOST:PORT: write for example 127.0.0.1:9092`},
		{"metrics=localhost:http", `--metrics: "localhost:http" has no port from 0 to 65535`},
		{"metrics=:65536", `--metrics: ":65536" has no port`},
		{"metrics=a\nb:1", `--metrics: "a\nb:1" has a control character`},
		{"pprof=true", `--pprof: profiles are served beside the metrics: say where with --metrics ADDRESS`},
		{"log-level=loud", `--log-level: "loud" is unknown: use debug, info, warn or error`},
		{"log-format=xml", `--log-format: "xml" is unknown: use text or json`},
		{"new-visibility=secret", `--new-visibility: "secret" is unknown: use private, shared, community or public`},
		{"visibility=all", `--visibility: "all" is unknown: use private, shared, community or public`},
		{"owner=a\nb", `--owner: "a\nb" has a control character`},
		{"tag=", `--tag: "" is not a tag: use 1 to 255 characters`},
		{"name=a[", `--name: "a[" is not a pattern: close every [`},
		{"status=deleted", `--status: "deleted" is unknown: use queued, saving, uploading, importing, active or deactivated`},
		{"status=", `--status: "" is unknown`},
		{"format=qcow", `--format: "qcow" is unknown: use ami, ari, aki, vhd, vhdx, vmdk, raw, qcow2, vdi, iso or ploop`},
		{"hidden=maybe", `--hidden: "maybe" is neither true nor false`},
		{"community=2", `--community: "2" is neither true nor false`},
		{"member-status=open", `--member-status: "open" is unknown: use pending, accepted, rejected or all`},
		{"new-property=k", `--new-property: "k" is not KEY=VALUE`},
		{"new-property==v", `--new-property: "=v" is not KEY=VALUE`},
		{"new-property=os_glance_x=1", `is reserved`},
		{"new-property=os_hash_algo=sha512", `is reserved, or a field of each image`},
		{"new-property=min_disk=1", `is reserved, or a field of each image`},
		{"new-property=imagefs_draft=1", `is reserved`},
		{"new-property=imagefs_trash=1", `is reserved`},
		{"new-tag=", `--new-tag: "" is not a tag`},
		{"staging-dir=~/x", `--staging-dir: "~/x": only a shell expands ~`},
		{"staging-dir=", `--staging-dir: the path is empty`},
		{"staging-dir=/\xff", `--staging-dir: the path is not UTF-8`},
		{"endpoint=glance:9292", `--endpoint: "glance:9292" is not a URL of an Image API`},
		{"endpoint=https://u:geheim@h", `--endpoint: the URL carries a password`},
		{"endpoint=ftp://u:geheim@h", `--endpoint: "…@h" is not a URL`},
		{"endpoint=http://h/?a=b", `has a query`},
		{"token=t", `--token: a token needs --endpoint URL`},
		{"cloud=a\nb", `--cloud: "a\nb" has a control character`},
	} {
		_, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t, tc.flags)})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.flags, err, tc.want)
		}
		if err != nil && (strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: leaks a password or a second line: %v", tc.flags, err)
		}
	}
}

func TestContradictions(t *testing.T) {
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"cloud=a", "endpoint=http://h"}, "--endpoint: an endpoint and a cloud (from --cloud) are both given: give one of them"},
		{[]string{"community=true", "visibility=public"}, "--community: community images are not public (from --visibility): give one of them"},
		{[]string{"read-only=true", "write-all-projects=true"}, "--write-all-projects: a read-only mount (from --read-only)"},
	} {
		_, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t, tc.flags...)})
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%v: %v, want %s", tc.flags, err, tc.want)
		}
	}
	_, _, err := Load(Sources{Host: Host{UID: 1000, StateHome: ".local/state"}})
	if err == nil || !strings.Contains(err.Error(), "set HOME") {
		t.Errorf("no home: %v", err)
	}
	if _, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t, "cloud=a", "endpoint=http://h", "cloud=")}); err != nil {
		t.Errorf("an empty value takes an earlier one back: %v", err)
	}
}

func TestRelativeStaging(t *testing.T) {
	t.Chdir(t.TempDir())
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(Sources{Host: testHost, Flags: flagsOf(t, "staging-dir=x/../y")})
	if err != nil || c.StagingDir != filepath.Join(wd, "y") {
		t.Errorf("staging %q, %v", c.StagingDir, err)
	}
}

// A mount that goes on takes the level of the log anew from the file, and nothing else.
func TestLogLevelOfFile(t *testing.T) {
	for text, want := range map[string]slog.Level{
		"log-level: debug\nmemory: nonsense\n": slog.LevelDebug,
		"log-level: error\n":                   slog.LevelError,
		"memory: 1GiB\n":                       slog.LevelInfo,
		"":                                     slog.LevelInfo,
	} {
		if level, err := LogLevel(fileOf(t, text)); err != nil || level != want {
			t.Errorf("%q: %v, %v, want %v", text, level, err, want)
		}
	}
	for _, text := range []string{"log-level: loud\n", "log-levels: debug\n", "log-level: [debug]\n"} {
		path := fileOf(t, text)
		if _, err := LogLevel(path); err == nil || !strings.HasPrefix(err.Error(), path+":1") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if level, err := LogLevel(""); err != nil || level != slog.LevelInfo {
		t.Errorf("without a file: %v, %v", level, err)
	}
}
