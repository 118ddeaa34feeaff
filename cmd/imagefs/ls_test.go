package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// A counted is an embedded server that counts requests, and can be away.
type counted struct {
	url      string
	requests atomic.Int32
	away     atomic.Bool
}

func countedService(t *testing.T) *counted {
	t.Helper()
	s := &counted{}
	s.url = service(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.requests.Add(1)
			if s.away.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	return s
}

// upload makes images behind everybody's back.
func upload(t *testing.T, url string, all ...image.New) {
	t.Helper()
	api, err := client.Dial(t.Context(), client.Options{Endpoint: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for _, n := range all {
		if n.DiskFormat == "" {
			n.DiskFormat, n.ContainerFormat = "raw", "bare"
		}
		img, err := api.Create(t.Context(), n)
		if err == nil {
			data := strings.Repeat("x", 300_000)
			err = api.Upload(t.Context(), img.ID, int64(len(data)), func() io.Reader { return strings.NewReader(data) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// objects reads what ls --json prints.
func objects(t *testing.T, out string) []listed {
	t.Helper()
	var all []listed
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var l listed
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		all = append(all, l)
	}
}

func namesOf(all []listed) map[string]string {
	ids := map[string]string{}
	for _, l := range all {
		ids[l.Entry] = valueOf(l.ID)
	}
	return ids
}

func TestLs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := countedService(t)
	upload(t, s.url, image.New{Name: "plain"}, image.New{Name: "twin"}, image.New{Name: "twin", Tags: []string{"ready"}},
		image.New{Name: "a/\x1b[31m\u009b", DiskFormat: "iso", ContainerFormat: "bare"})
	m := w.mounted(s.url, "--list-ttl", "1h")
	direct := objects(t, w.mustRun("ls", "--json", "--endpoint", s.url))
	mounted := objects(t, w.mustRun("ls", "--json", m))
	if len(direct) != 4 || len(mounted) != 4 {
		t.Fatalf("%d and %d lines", len(direct), len(mounted))
	}
	if diff := cmp.Diff(namesOf(direct), namesOf(mounted)); diff != "" {
		t.Errorf("the entries of a mount differ from those without one: %s", diff)
	}
	for _, l := range append(direct, mounted...) {
		if isCached := l.Cached != nil; isCached && *l.Cached != 0 || l.Size == nil || *l.Size != 300_000 || l.Draft != nil {
			t.Errorf("%+v", l)
		}
	}

	before := s.requests.Load()
	w.mustSh("cat m/plain > /dev/null")
	afterRead := s.requests.Load()
	w.mustSh("exec 7> m/new; " + w.program + " ls m > lines; " + w.program + " ls --long m > table; " + w.program + " info m/new > info; rm m/new")
	if got := s.requests.Load(); got > afterRead+1 { // the lookup before new was made
		t.Errorf("%d requests of ls within the TTL", got-afterRead)
	}
	if afterRead == before {
		t.Error("requests are not counted")
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(text, "\x1b\u009b") {
			t.Errorf("%s: a control character: %q", name, text)
		}
		return string(text)
	}
	lines := read("lines")
	for entry, id := range namesOf(mounted) {
		if !strings.Contains(lines, id+"  "+entry+"\n") {
			t.Errorf("%q is not in %s", entry, lines)
		}
	}
	if !strings.Contains(lines, "-"+strings.Repeat(" ", 37)+"new\n") || strings.Count(lines, "\n") != 5 {
		t.Errorf("a draft is not in %s", lines)
	}
	table := read("table")
	for _, row := range strings.Split(table, "\n") {
		fields := strings.Fields(row)
		if strings.HasSuffix(row, " plain") && (fields[1] != "active" || fields[8] != "100%") {
			t.Errorf("what was read is cached: %q", row)
		}
		if strings.HasSuffix(row, " new") && fields[1] != "draft" {
			t.Errorf("%q", row)
		}
	}
	if got := read("info"); !strings.Contains(got, "entry  new\ndraft  ") {
		t.Errorf("info of a draft: %q", got)
	}

	for _, tc := range []struct {
		flags string
		want  int
	}{
		{"--tag ready", 1}, {"--name t*", 2}, {"--format iso", 1}, {"--format iso --format raw", 4}, {"--name a/*", 1}, {"--status queued", 0}, {"--visibility public", 0},
	} {
		for _, where := range [][]string{{m}, {"--endpoint", s.url}} {
			out := w.mustRun(append(append([]string{"ls", "--json"}, strings.Fields(tc.flags)...), where...)...)
			if got := len(objects(t, out)); got != tc.want {
				t.Errorf("%s of %v: %d, want %d", tc.flags, where, got, tc.want)
			}
		}
	}
	w.mustRun("unmount", m)
}

// A mount answers while its service is away, and says so.
func TestLsWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := countedService(t)
	upload(t, s.url, image.New{Name: "there"})
	m := w.mounted(s.url, "--list-ttl", "1ms")
	want := w.mustRun("ls", m)
	s.away.Store(true)
	eventually(t, "it says so", func() bool {
		out, stderr, code := w.run("ls", m)
		if code != exitOK || out != want {
			t.Fatalf("code %d: %s%s", code, out, stderr)
		}
		return strings.HasPrefix(stderr, "imagefs: the Image service does not answer")
	})
	_, stderr, code := w.run("ls", "--endpoint", s.url)
	if oneLineOf(t, stderr); code != exitServiceAway {
		t.Errorf("without the mount: code %d: %s", code, stderr)
	}
	s.away.Store(false)
	w.mustRun("unmount", m)
}

func TestInfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := countedService(t)
	upload(t, s.url, image.New{Name: "a/b", Tags: []string{"t"}, Properties: map[string]string{"os_distro": "debian\x07"}})
	m := w.mounted(s.url)
	w.mustSh("touch -d 2001-01-01 m/a%2Fb && cat m/a%2Fb > /dev/null")
	id := objects(t, w.mustRun("ls", "--json", m))[0].ID
	var of described
	for _, args := range [][]string{{m + "/a%2Fb"}, {"m/a%2Fb"}, {m + "/.by-id/" + *id}, {"--endpoint", s.url, "a%2Fb"}, {"--endpoint", s.url, *id}} {
		var d described
		out := w.mustRun(append([]string{"info", "--json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		cached := d.Cached
		if args[0] == "--endpoint" != (cached == nil) || cached != nil && *cached != 300_000 {
			t.Errorf("%v: cached %v", args, cached)
		}
		if d.Entry != "a%2Fb" && d.Entry != *id || valueOf(d.Name) != "a/b" || valueOf(d.HashAlgo) != "sha512" || valueOf(d.ContainerFormat) != "bare" {
			t.Errorf("%v: %s", args, out)
		}
		if diff := cmp.Diff(map[string]string{"os_distro": "debian\x07"}, d.Properties); diff != "" {
			t.Errorf("%v: properties: %s", args, diff)
		}
		d.Entry, d.Cached = "", nil
		if of.ID == nil {
			of = d
		}
		if diff := cmp.Diff(of, d, cmp.AllowUnexported(described{})); diff != "" {
			t.Errorf("%v tells something else: %s", args, diff)
		}
	}
	out := w.mustRun("info", m+"/a%2Fb")
	for _, line := range []string{"name                a/b\n", "size                293 KiB (300000 bytes)\n", "cached              293 KiB, 100%\n", "property os_distro  debian?\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
	for _, args := range [][]string{{m + "/none"}, {m + "/.by-id/" + strings.Repeat("0", 8) + (*id)[8:]}, {"--endpoint", s.url, "none"}, {"--endpoint", s.url, strings.Repeat("0", 8) + (*id)[8:]}} {
		_, stderr, code := w.run(append([]string{"info"}, args...)...)
		if oneLineOf(t, stderr); code != exitNoImage {
			t.Errorf("%v: code %d: %s", args, code, stderr)
		}
	}
	w.mustRun("unmount", m)
}

func TestLsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.mkdir("d")
	for _, tc := range []struct {
		args string
		code exitCode
		want string
	}{
		{"ls " + dir, exitNotMounted, "is not an imagefs mount"},
		{"ls a b", exitUsage, `unexpected argument "b"`},
		{"ls --cloud c " + dir, exitUsage, "give one of them"},
		{"ls --community " + dir, exitUsage, "--community: a mount shows"},
		{"ls --format x " + dir, exitUsage, "--format"},
		{"ls --endpoint http://127.0.0.1:1", exitUnreachable, "check the address"},
		{"info", exitUsage, "the image is missing"},
		{"info --endpoint http://127.0.0.1:1 x", exitUnreachable, "check the address"},
	} {
		_, stderr, code := w.run(strings.Fields(tc.args)...)
		if line := oneLineOf(t, stderr); code != tc.code || !strings.Contains(line, tc.want) {
			t.Errorf("%s: code %d: %s", tc.args, code, stderr)
		}
	}
}

func TestNoMountAndNoService(t *testing.T) {
	for _, tc := range []struct {
		flags []string
		err   error
		want  string
	}{
		{nil, fail(exitCloud, "no cloud"), "you have no mount, and no cloud"},
		{[]string{"--cloud", "c"}, fail(exitCloud, "no cloud"), "no cloud"},
		{nil, fail(exitUnreachable, "no answer"), "no answer"},
	} {
		cmd := lsCommand(streams{})
		if err := cmd.ParseFlags(tc.flags); err != nil {
			t.Fatal(err)
		}
		if got := orNoMount(cmd, tc.err); got.Error() != tc.want || codeOf(got) != codeOf(tc.err) {
			t.Errorf("%v: %v", tc.flags, got)
		}
	}
	if err := orNoMount(lsCommand(streams{}), nil); err != nil {
		t.Error(err)
	}
}

func TestOnlyMount(t *testing.T) {
	a, b := target{path: "/a"}, target{path: "/b"}
	if _, ok, err := only(nil); ok || err != nil {
		t.Errorf("none: %v, %v", ok, err)
	}
	if got, ok, err := only([]target{a}); got != a || !ok || err != nil {
		t.Errorf("one: %v, %v, %v", got, ok, err)
	}
	if _, ok, err := only([]target{a, b}); ok || codeOf(err) != exitUsage || !strings.Contains(err.Error(), "/a, /b") {
		t.Errorf("two: %v, %v", ok, err)
	}
}

// What cannot be printed says nothing of the daemon, nor of the service.
func TestLsCannotPrint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := countedService(t)
	api, err := client.Dial(t.Context(), client.Options{Endpoint: s.url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for n := range 100 { // more than is held back before it is written
		if _, err := api.Create(t.Context(), image.New{Name: fmt.Sprintf("%03d", n)}); err != nil {
			t.Fatal(err)
		}
	}
	m := w.mounted(s.url)
	for _, of := range []string{m, "--endpoint " + s.url} {
		for _, how := range []string{"", "--long", "--json"} {
			out, err := w.sh(w.program + " ls " + how + " " + of + " > /dev/full")
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != int(exitInternal) || out != "imagefs: write /dev/stdout: no space left on device\n" {
				t.Errorf("ls %s of %s: %v, %q", how, of, err, out)
			}
		}
	}
	w.mustRun("unmount", m)
}
