package imageserver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sent writes a request line as it is, which a client would tidy, and returns the answer.
func (r *rig) sent(t *testing.T, method, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil", method, path); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		t.Fatal(err)
	}
	return string(answer)
}

// What is no UUID never becomes a part of a path, however it is written: nothing outside
// of the directories of images is read, written or removed, nor what is in them by
// another name than an image's.
func TestPathTricks(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "images")
	r := open(t, Options{Dir: dir})
	const secret = "what nobody may read"
	outside := filepath.Join(top, "outside")
	inside := filepath.Join(dir, dirData, "outside")
	for _, path := range []string{outside, inside} {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const uuid = "11111111-2222-4333-8444-555555555555"
	ids := []string{
		"outside", "../outside", "../../outside", "..%2foutside", "%2e%2e%2f%2e%2e%2foutside", "..%2F..%2Foutside", "%2e%2e/%2e%2e/outside",
		"%252e%252e%252foutside", "..%5coutside", "..\\..\\outside", ".", "..", "%2e", "%00", "outside%00", uuid + "%00", uuid + "%2f..%2foutside",
		uuid[:35] + "%2f", "%2foutside", "//outside", outside, "%2f" + outside, strings.Repeat("a", 300), strings.Repeat("../", 400) + "etc/passwd", strings.Repeat("%2e%2e%2f", 400) + "etc/passwd",
		"..%c0%afoutside", "．．/outside", "lock", "%2e%2e%2flock",
	}
	for _, id := range ids {
		for _, target := range []string{"/v2/images/" + id, "/v2/images/" + id + "/file", "/v2/images/" + id + "/stage", "/v2/images/" + id + "/members", "/v2/images/" + id + "/tags/x", "/" + id} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete} {
				answer := r.sent(t, method, target)
				status := strings.TrimPrefix(answer, "HTTP/1.1 ")
				if strings.HasPrefix(status, "2") && !strings.Contains(answer, `"versions"`) && !strings.Contains(answer, `"images"`) || strings.HasPrefix(status, "5") || strings.Contains(answer, secret) {
					t.Errorf("%s %.100s: %.300s", method, target, answer)
				}
			}
		}
	}
	for _, path := range []string{outside, inside} {
		if text, err := os.ReadFile(path); err != nil || string(text) != secret {
			t.Errorf("%s is %q, %v", path, text, err)
		}
	}
	for _, id := range []string{"../outside", "..", outside, "outside", uuid + "/x", uuid + "\x00"} {
		r.want(t, http.StatusBadRequest, "POST", "/v2/images", fmt.Sprintf(`{"id": %q, "name": "x"}`, id))
	}
	if left, err := os.ReadDir(top); err != nil || len(left) != 2 {
		t.Errorf("beside the images there are %v, %v", left, err)
	}
}
