package imageserver

import (
	"cmp"
	"net/http"
	"os"
	"testing"
)

const glanceDirect = `{"method":{"name":"glance-direct"}}`

func TestImport(t *testing.T) {
	r := open(t, Options{})
	path := "/v2/images/" + r.newImage(t, `"name":"i"`)
	for _, c := range []struct {
		status       int
		method, path string
		body         string
		header       string
	}{
		{400, "POST", "/import", `{}`, ""},
		{400, "POST", "/import", `[]`, ""},
		{400, "POST", "/import", `{"method":{}}`, ""},
		{400, "POST", "/import", `{"method":{"name":"web-download"}}`, ""},
		{409, "POST", "/import", glanceDirect, ""},
		{415, "PUT", "/stage", "data", "Content-Type: text/plain"},
		{204, "PUT", "/stage", "data", octetStream},
		{409, "PUT", "/stage", "data", octetStream},
		{409, "PUT", "/file", "data", octetStream},
		{409, "POST", "/import", glanceDirect, ""}, // no formats
		{204, "GET", "/file", "", ""},
		{403, "PATCH", "", `[{"op":"replace","path":"/disk_format","value":"raw"}]`, patchType},
	} {
		r.want(t, c.status, c.method, path+c.path, c.body, cmp.Or(c.header, "Content-Type: application/json"))
	}
	if got := r.want(t, http.StatusOK, "GET", path, "").json(t); got["status"] != "uploading" || got["size"] != 4.0 {
		t.Errorf("staged: %v", got)
	}
	r.want(t, http.StatusNoContent, "DELETE", path, "")
	if got := files(t, r.opt.Dir, dirStaged); len(got) != 0 {
		t.Errorf("staged after the deletion: %q", got)
	}

	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	path = "/v2/images/" + id
	r.want(t, http.StatusNoContent, "PUT", path+"/stage", "data", octetStream)
	r.want(t, http.StatusAccepted, "POST", path+"/import", glanceDirect)
	r.eventually(t, id, "active")
	got := r.want(t, http.StatusOK, "GET", path, "").json(t)
	if got["os_glance_failed_import"] != "" || got["os_glance_importing_to_stores"] != "" || got["checksum"] != "8d777f385d3dfec8815d20f7496026dc" {
		t.Errorf("imported: %v", got)
	}
	if data := r.want(t, http.StatusOK, "GET", path+"/file", ""); string(data.body) != "data" {
		t.Errorf("data %q", data.body)
	}
	r.want(t, http.StatusConflict, "POST", path+"/import", glanceDirect)
}

func TestImportFails(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/stage", "data", octetStream)
	if err := os.Remove(r.disk.path(dirStaged, id)); err != nil {
		t.Fatal(err)
	}
	r.want(t, http.StatusAccepted, "POST", "/v2/images/"+id+"/import", glanceDirect)
	r.eventually(t, id, "queued")
	if got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t); got["os_glance_failed_import"] != "store" || got["size"] != nil {
		t.Errorf("%v", got)
	}
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/file", "data", octetStream)
}

func TestVirtualSize(t *testing.T) {
	r := open(t, Options{})
	at := func(size int, parts map[int]string) string {
		b := make([]byte, size)
		for off, text := range parts {
			copy(b[off:], text)
		}
		return string(b)
	}
	for _, c := range []struct {
		format, container, data string
		want                    any
	}{
		{"raw", "bare", "12345", 5.0},
		{"raw", "ovf", "12345", nil},
		{"qcow2", "bare", at(512, map[int]string{0: "QFI\xfb\x00\x00\x00\x03", 24: "\x00\x00\x00\x02\x80\x00\x00\x00"}), 10737418240.0},
		{"qcow2", "bare", "not a qcow2 at all, but long enough to be looked at", nil},
		{"qcow2", "bare", "QFI\xfb", nil},
		{"vhd", "bare", at(1024, map[int]string{0: "conectix", 48: "\x00\x00\x00\x00\x01\x00\x00\x00"}), 16777216.0},
		{"vdi", "bare", at(1024, map[int]string{0x40: "\x7f\x10\xda\xbe", 0x170: "\x00\x00\x00\x01"}), 16777216.0},
		{"iso", "bare", at(40<<10, map[int]string{32<<10 + 1: "CD001", 32<<10 + 80: "\x64\x00\x00\x00", 32<<10 + 128: "\x00\x08"}), 204800.0},
		{"vmdk", "bare", "KDMV", nil},
	} {
		id := r.newImage(t, `"disk_format":"`+c.format+`","container_format":"`+c.container+`"`)
		r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/file", c.data, octetStream)
		if got := r.want(t, http.StatusOK, "GET", "/v2/images/"+id, "").json(t)["virtual_size"]; got != c.want {
			t.Errorf("%s in %s: %v, want %v", c.format, c.container, got, c.want)
		}
	}
}
