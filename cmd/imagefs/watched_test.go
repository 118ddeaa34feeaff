package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// get asks an address of a mount.
func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // no connection is left
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A mount serves its metrics while it lives, on this host where nobody names another
// address, and takes none that somebody has.
func TestMetricsOfAMount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := service(t, nil)
	m := w.mkdir("m")
	w.cleanMount(m)
	_, stderr, code := w.run("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", "--metrics", ":0", m)
	if code != exitOK {
		t.Fatalf("code %d: %s", code, stderr)
	}
	w.mustSh("echo hello > m/a.txt && cat m/a.txt && ls m")
	url := w.mustAsk(m).Metrics
	site, ok := strings.CutSuffix(url, metricsPath)
	if !ok || !strings.HasPrefix(site, "http://127.0.0.1:") || !strings.Contains(w.mustRun("status", m), "metrics   "+url) {
		t.Fatalf("status: %q", url)
	}
	code200, text := get(t, site+metricsPath)
	for _, want := range []string{"imagefs_mounted 1\n", "imagefs_listing_images 1\n", "process_open_fds ",
		`imagefs_operation_duration_seconds_count{errno="0",operation="create"} 1`, `imagefs_requests_total{code="201",kind="create"} 1`,
		`imagefs_commits_total{result="published"} 1`, "imagefs_uploaded_bytes_total 6\n"} {
		if code200 != 200 || !strings.Contains(text, want) {
			t.Errorf("code %d, no %q in %s", code200, want, text)
		}
	}
	if code, text := get(t, site+"/healthz"); code != 200 || text != "ok\n" {
		t.Errorf("health: %d %q", code, text)
	}
	for path, want := range map[string]string{"/": "<!doctype html>", "/api/status": `"mountpoint":"` + m + `"`, "/api/blocks": `"name":"a.txt","size_bytes":6,`} {
		if code, text := get(t, site+path); code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
	if code, _ := get(t, site+"/debug/pprof/"); code != 404 {
		t.Errorf("profiles that nobody asked for: %d", code)
	}
	other := w.mkdir("other")
	if _, stderr, code := w.run("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", "--metrics", strings.TrimPrefix(site, "http://"), other); code != exitListen {
		t.Errorf("an address that is taken: code %d: %s", code, stderr)
	}
	w.mustRun("unmount", m)
	if conn, err := net.Dial("tcp", strings.TrimPrefix(site, "http://")); err == nil {
		t.Error("the metrics outlive the mount", conn.Close())
	}
}
