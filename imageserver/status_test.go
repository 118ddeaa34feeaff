package imageserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCreateStatuses(t *testing.T) {
	r := open(t, Options{})
	const id = "11111111-2222-4333-8444-555555555555"
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		status int
		body   string
	}{
		{201, `{}`},
		{201, `{"id":"` + id + `","name":"x","min_ram":64,"os_hidden":true,"kernel_id":null}`},
		{409, `{"id":"` + id + `"}`},
		{201, `{"name":null,"disk_format":null,"visibility":"community","tags":[]}`},
		{201, `{"name":"a/b\n\u0001\u202e"}`},
		{201, `{"a b":"c","":"d"}`},
		{400, ``},
		{400, `x`},
		{400, `"x"`},
		{400, `[]`},
		{400, `{"id":"../../../../etc/passwd"}`},
		{400, `{"id":"11111111222243338444555555555555"}`},
		{400, `{"id":5}`},
		{400, `{"name":5}`},
		{400, `{"name":"` + long + `"}`},
		{400, `{"name":"😀"}`},
		{400, `{"name":"a\u0000b"}`},
		{400, `{"` + long + `":"v"}`},
		{400, `{"x":5}`},
		{400, `{"x":null}`},
		{400, `{"x":"😀"}`},
		{400, `{"tags":["😀"]}`},
		{400, `{"kernel_id":"x"}`},
		{400, `{"visibility":"x"}`},
		{400, `{"min_disk":-1}`},
		{400, `{"min_ram":1.5}`},
		{403, `{"visibility":"public"}`},
		{403, `{"owner":"other"}`},
		{403, `{"owner":null}`},
		{403, `{"status":"active"}`},
		{403, `{"size":1}`},
		{403, `{"self":"x"}`},
		{403, `{"locations":[]}`},
		{403, `{"deleted":"x"}`},
		{403, `{"os_glance_x":"x"}`},
		{413, `{"tags":` + manyTags(129) + `}`},
		{413, `{"x":"` + strings.Repeat("v", maxJSON) + `"}`},
	} {
		got := r.do(t, "POST", "/v2/images", strings.NewReader(c.body))
		if got.status != c.status {
			t.Errorf("%.80s: status %d, want %d: %s", c.body, got.status, c.status, got.body)
		}
	}
	got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t)
	if v, found := got["kernel_id"]; !found || v != nil || got["os_hidden"] != true || got["min_ram"] != 64.0 {
		t.Errorf("%v", got)
	}
	created := r.want(t, http.StatusCreated, "POST", "/v2/images", `{"owner":"other","visibility":"public"}`, "X-Roles: admin")
	if created.header.Get("Location") != r.url+created.json(t)["self"].(string) || created.header.Get("Openstack-Image-Import-Methods") != "glance-direct" {
		t.Errorf("header %v", created.header)
	}
}

func TestUploadStatuses(t *testing.T) {
	r := open(t, Options{SizeCap: 8})
	bare := r.newImage(t, `"name":"x"`)
	half := r.newImage(t, `"disk_format":"raw"`)
	good := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	for _, c := range []struct {
		status        int
		id, body, typ string
	}{
		{415, good, "x", "Content-Type: text/plain"},
		{415, good, "x", "Accept: */*"},
		{404, "nonsense", "x", octetStream},
		{400, bare, "x", octetStream},
		{400, half, "x", octetStream},
		{413, good, "123456789", octetStream},
		{204, good, "12345678", octetStream},
		{409, good, "x", octetStream},
	} {
		r.want(t, c.status, "PUT", "/v2/images/"+c.id+"/file", c.body, c.typ)
		if c.id == good && c.status == 413 && r.status(t, good) != "queued" {
			t.Error("not queued again after 413")
		}
	}
	r.want(t, http.StatusNoContent, "POST", "/v2/images/"+good+"/actions/deactivate", "")
	r.want(t, http.StatusNoContent, "POST", "/v2/images/"+good+"/actions/deactivate", "")
	r.want(t, http.StatusConflict, "PUT", "/v2/images/"+good+"/file", "x", octetStream)
	r.want(t, http.StatusForbidden, "GET", "/v2/images/"+good+"/file", "")
	r.want(t, http.StatusOK, "GET", "/v2/images/"+good+"/file", "", "X-Roles: admin")
	r.want(t, http.StatusNoContent, "POST", "/v2/images/"+good+"/actions/reactivate", "")
	r.want(t, http.StatusOK, "GET", "/v2/images/"+good+"/file", "")
	r.want(t, http.StatusForbidden, "POST", "/v2/images/"+bare+"/actions/deactivate", "")
	r.want(t, http.StatusForbidden, "POST", "/v2/images/"+bare+"/actions/reactivate", "")
}

// TestChunkedOverCap sends no length: only the bytes themselves tell.
func TestChunkedOverCap(t *testing.T) {
	r := open(t, Options{SizeCap: 3 << 20})
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	body := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 3<<20+1))}
	if got := r.do(t, "PUT", "/v2/images/"+id+"/file", body, octetStream); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := r.status(t, id); got != "queued" {
		t.Errorf("status %s after 413", got)
	}
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/file", strings.Repeat("x", 3<<20), octetStream)
}

// cut begins an upload over a connection of its own and returns it.
func (r *rig) cut(t *testing.T, id, body string, length int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "PUT /v2/images/%s/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", id, length, body); err != nil {
		t.Fatal(err)
	}
	return conn
}

// eventually waits for the image to get a status.
func (r *rig) eventually(t *testing.T, id, status string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for got := ""; got != status; time.Sleep(time.Millisecond) {
		if got = r.status(t, id); time.Now().After(deadline) {
			t.Fatalf("status is %s, not %s", got, status)
		}
	}
}

func TestUploadCutOff(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	conn := r.cut(t, id, "half", 8)
	r.eventually(t, id, "saving")
	r.want(t, http.StatusConflict, "PUT", "/v2/images/"+id+"/file", "x", octetStream)
	r.want(t, http.StatusNoContent, "GET", "/v2/images/"+id+"/file", "")
	if got := r.want(t, http.StatusOK, "PATCH", "/v2/images/"+id, `[{"op":"replace","path":"/name","value":"changed meanwhile"}]`, patchType).json(t); got["status"] != "saving" {
		t.Errorf("PATCH during PUT: %v", got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, id, "queued")
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/file", "whole", octetStream)
	got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t)
	if got["name"] != "changed meanwhile" || got["size"] != 5.0 {
		t.Errorf("%v", got)
	}
}

// TestExpect refuses a body before it is sent.
func TestExpect(t *testing.T) {
	r := open(t, Options{})
	id := r.newActive(t, "data")
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "PUT /v2/images/%s/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n", id); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusConflict || !resp.Close {
		t.Errorf("status %d, connection closes: %v", resp.StatusCode, resp.Close)
	}
}

// TestBodyNeverSent pins that a refused caller who announced a body and sends
// none does not keep its connection for ever.
func TestBodyNeverSent(t *testing.T) {
	r := open(t, Options{})
	r.stall = 200 * time.Millisecond
	for _, head := range []string{"PUT /v2/images/nonsense/file", "DELETE /v2/images/nonsense", "POST /v2/images"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n", head); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 40") {
			t.Errorf("%s: %v: %s", head, err, text)
		}
	}
}

// TestUploadShort ends the body early but keeps the connection half open: the
// caller still gets an answer.
func TestUploadShort(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	conn := r.cut(t, id, "half", 8)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
	r.eventually(t, id, "queued")
}

func TestQuota(t *testing.T) {
	r := open(t, Options{Quota: 10 << 20})
	if got := string(r.want(t, http.StatusOK, "GET", "/v2/info/usage", "").body); !strings.Contains(got, `"image_size_total":{"usage":0,"limit":10}`) {
		t.Errorf("usage of nothing: %s", got)
	}
	r.newActive(t, strings.Repeat("x", 6<<20))
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	got := r.want(t, http.StatusRequestEntityTooLarge, "PUT", "/v2/images/"+id+"/file", strings.Repeat("x", 5<<20), octetStream)
	if !strings.Contains(string(got.body), "quota") {
		t.Errorf("413 without the word quota: %s", got.body)
	}
	if got := string(r.want(t, http.StatusOK, "GET", "/v2/info/usage", "").body); !strings.Contains(got, `"image_size_total":{"usage":6,"limit":10}`) {
		t.Errorf("usage: %s", got)
	}
	r.newActive(t, strings.Repeat("x", 6<<20), "X-Project-Id: other")
}
