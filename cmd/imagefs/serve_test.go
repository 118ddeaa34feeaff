package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("serve", "--dir", "images", "--listen", ":0", "--no-ranges")
	eventually(t, "it listens", func() bool { return strings.Contains(p.out.String(), "\n") })
	line := p.out.String()
	match := regexp.MustCompile(`^listening on (http://127\.0\.0\.1:\d+); mount it with: imagefs mount --endpoint (\S+) MOUNTPOINT\n$`).FindStringSubmatch(line)
	if match == nil || match[1] != match[2] {
		t.Fatalf("%q", line)
	}
	if n := imagesOf(t, match[1]); n != 0 {
		t.Errorf("%d images", n)
	}
	for name, c := range map[string]struct{ host, site string }{
		"by another name": {"attacker.example", "same-origin"}, "from another page": {"127.0.0.1", "cross-site"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, match[1]+"/v2/images", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		req.Header.Set("Sec-Fetch-Site", c.site)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode/100 != 4 {
			t.Errorf("a page of the web, %s: status %d, %v", name, resp.StatusCode, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if n := imagesOf(t, match[1]); n != 0 {
		t.Errorf("pages of the web have made %d images", n)
	}
	// A second server can have neither the directory nor the address.
	_, stderr, code := w.run("serve", "--dir", "images", "--listen", "127.0.0.1:0")
	if code != exitLocalDir {
		t.Errorf("the same directory: code %d: %s", code, stderr)
	}
	oneLineOf(t, stderr)
	_, stderr, code = w.run("serve", "--dir", "others", "--listen", strings.TrimPrefix(match[1], "http://"))
	if line := oneLineOf(t, stderr); code != exitListen || !strings.Contains(line, "--listen") {
		t.Errorf("the same address: code %d: %s", code, stderr)
	}
	p.signal(unix.SIGTERM)
	if _, stderr, code := p.end(); code != exitOK {
		t.Errorf("end: code %d: %s", code, stderr)
	}
}

func TestLoopbackAddress(t *testing.T) {
	for listen, want := range map[string]string{
		":9292": "127.0.0.1:9292", "0.0.0.0:1": "0.0.0.0:1", "[::1]:0": "[::1]:0", "localhost:80": "localhost:80",
		"9292": "", "": "", "a:b:c": "",
	} {
		got, err := loopbackAddress(listen)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", listen, got, err)
		}
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	for _, given := range []bool{false, true} {
		w := newWorld(t).asUser()
		args := []string{"demo"}
		if given {
			args = append(args, w.mkdir("m"))
		}
		p := w.start(args...)
		eventually(t, "it is mounted", func() bool { return strings.Contains(p.out.String(), "Ctrl-C ends the demo") })
		match := regexp.MustCompile(`images are mounted on (\S+)\. `).FindStringSubmatch(p.out.String())
		if match == nil || given && match[1] != args[1] {
			t.Fatalf("%s", p.out.String())
		}
		w.mustSh("cmp " + match[1] + "/data.raw " + match[1] + "/data.raw && cp /bin/true " + match[1] + "/new && ! rmdir " + match[1] + "/none")
		p.signal(unix.SIGINT)
		if _, stderr, code := p.end(); code != exitOK || stderr != "" {
			t.Errorf("code %d: %s", code, stderr)
		}
		if isMounted(t, match[1]) {
			t.Error("still mounted")
		}
		if left, err := filepath.Glob(filepath.Join(w.dir, "imagefs*", "*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestDemoRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mkdir("full")
	w.mkdir("full/x")
	_, stderr, code := w.run("demo", "full")
	oneLineOf(t, stderr)
	if left, err := filepath.Glob(filepath.Join(w.dir, "imagefs-demo*")); code != exitNotEmpty || err != nil || len(left) > 0 {
		t.Errorf("code %d, left %v, %v", code, left, err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "full", "x")); err != nil {
		t.Errorf("the user's directory: %v", err)
	}
}

// systemd is told when the mount answers, that it still does, and when it ends.
func TestSystemdNotification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mkdir("m")
	w.cleanMount(m)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(w.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	w.env = append(w.env, "NOTIFY_SOCKET="+filepath.Join(w.dir, "notify"), "JOURNAL_STREAM=1:2", "WATCHDOG_USEC=200000")
	p := w.start("mount", "--foreground", "--endpoint", service(t, nil), "--staging-dir", w.dir+"/staging", m)
	read := func() string {
		b := make([]byte, 1000)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := read(); !strings.HasPrefix(got, "READY=1\nMAINPID=") || !isMounted(t, m) {
		t.Errorf("first: %q", got)
	}
	for range 3 {
		if got := read(); got != "WATCHDOG=1" {
			t.Errorf("while it lives: %q", got)
		}
	}
	p.signal(unix.SIGTERM)
	got := read()
	for got == "WATCHDOG=1" {
		got = read()
	}
	if got != "STOPPING=1" {
		t.Errorf("then: %q", got)
	}
	if _, stderr, code := p.end(); code != exitOK || strings.Contains(stderr, "time=") {
		t.Errorf("code %d, and a log in the journal needs no time: %s", code, stderr)
	}
}

// What could not be uploaded is said at the next mount, and shown by status.
func TestKeptDraftsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := service(t, nil)
	m := w.mounted(endpoint)
	// A compressed file is refused at close.
	if out, err := w.sh("gzip -c /bin/true > small.gz && cp small.gz m/bad.gz"); err == nil || !strings.Contains(out, "Invalid argument") {
		t.Errorf("cp of a compressed file: %v, %s", err, out)
	}
	eventually(t, "the draft is kept", func() bool { return len(w.mustAsk(m).Drafts) == 1 })
	w.mustRun("unmount", m)
	_, stderr, code := w.run("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", m)
	if line := oneLineOf(t, stderr); code != exitOK || !strings.Contains(line, "bad.gz") || !strings.Contains(line, "imagefs staged list") {
		t.Errorf("code %d: %s", code, stderr)
	}
	s := w.mustAsk(m)
	if len(s.Drafts) != 1 || s.Drafts[0].Name != "bad.gz" || s.Drafts[0].State != "failed" || s.Drafts[0].Reason == "" {
		t.Errorf("%+v", s.Drafts)
	}
	log, err := os.ReadFile(s.LogFile)
	if err != nil || !strings.Contains(string(log), "name=bad.gz") {
		t.Errorf("log: %v", err)
	}
	w.mustRun("unmount", m)
}
