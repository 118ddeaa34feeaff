package imageserver

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// rangeTable is what a Glance 25.1 with a file store answered for ten bytes.
var rangeTable = []struct {
	header string
	status int
	want   image.Span
}{
	{"bytes=0-3", 206, image.Span{Off: 0, Len: 4}},
	{"bytes=4-", 206, image.Span{Off: 4, Len: 6}},
	{"bytes=-3", 206, image.Span{Off: 7, Len: 3}},
	{"bytes=-10", 206, image.Span{Off: 0, Len: 10}},
	{"bytes=-100", 206, image.Span{Off: 0, Len: 10}},
	{"bytes=-0", 206, image.Span{Off: 0, Len: 10}},
	{"bytes=5-100", 206, image.Span{Off: 5, Len: 5}},
	{"bytes=0-9", 206, image.Span{Off: 0, Len: 10}},
	{"bytes=0-", 206, image.Span{Off: 0, Len: 10}},
	{"bytes=9-9", 206, image.Span{Off: 9, Len: 1}},
	{"Bytes = 1 - 2", 206, image.Span{Off: 1, Len: 2}},
	{"bytes=1-2x", 206, image.Span{Off: 1, Len: 2}},
	{"bytes=1-2-3", 206, image.Span{Off: 1, Len: 2}},
	{"bytes=1-99999999999999999999", 206, image.Span{Off: 1, Len: 9}},
	{"bytes=-99999999999999999999", 206, image.Span{Off: 0, Len: 10}},
	{"bytes=10-", 416, image.Span{}},
	{"bytes=11-12", 416, image.Span{}},
	{"bytes=99999999999999999999-", 416, image.Span{}},
	{"bytes=3-2", 416, image.Span{}},
	{"bytes=abc", 416, image.Span{}},
	{"bytes=", 416, image.Span{}},
	{"bytes", 416, image.Span{}},
	{"", 416, image.Span{}},
	{"bytes=1", 416, image.Span{}},
	{"bytes=+1-2", 416, image.Span{}},
	{"items=0-1", 416, image.Span{}},
	{"bytes=1-2,4-5", 400, image.Span{}},
	{"bytes=-", 500, image.Span{}},
}

func TestRanges(t *testing.T) {
	r := open(t, Options{})
	const data = "0123456789"
	path := "/v2/images/" + r.newActive(t, data) + "/file"
	for _, c := range rangeTable {
		got := r.want(t, c.status, "GET", path, "", "Range: "+c.header)
		if c.status != http.StatusPartialContent {
			if got.header.Get("Content-Range") != "" {
				t.Errorf("%q: %d with a Content-Range", c.header, c.status)
			}
			continue
		}
		if string(got.body) != data[c.want.Off:c.want.End()] {
			t.Errorf("%q: %q", c.header, got.body)
		}
		wanted := "bytes " + strconv.FormatInt(c.want.Off, 10) + "-" + strconv.FormatInt(c.want.End()-1, 10) + "/10"
		if h := got.header.Get("Content-Range"); h != wanted {
			t.Errorf("%q: Content-Range %q, want %q", c.header, h, wanted)
		}
		if got.header.Get("Content-Md5") != "781e5e245d69b566979b86e28d23f2c7" {
			t.Errorf("%q: Content-MD5 is not the whole image's", c.header)
		}
	}
}

// Two headers are one with a comma.
func TestTwoRanges(t *testing.T) {
	r := open(t, Options{})
	req, err := http.NewRequest(http.MethodGet, r.url+"/v2/images/"+r.newActive(t, "0123456789")+"/file", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Range"] = []string{"bytes=0-1", "bytes=3-4"}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, %v", resp.StatusCode, err)
	}
}

func TestRangesOfStoresWithoutAny(t *testing.T) {
	r := open(t, Options{NoRanges: true})
	path := "/v2/images/" + r.newActive(t, "0123456789") + "/file"
	for _, header := range []string{"bytes=0-", "bytes=0-3", "bytes=-1"} {
		r.want(t, http.StatusBadRequest, "GET", path, "", "Range: "+header)
	}
	r.want(t, http.StatusRequestedRangeNotSatisfiable, "GET", path, "", "Range: bytes=10-")
	if got := r.want(t, http.StatusOK, "GET", path, ""); string(got.body) != "0123456789" {
		t.Errorf("whole image: %q", got.body)
	}
}

func TestRangesWithoutData(t *testing.T) {
	r := open(t, Options{})
	id := r.newImage(t, `"name":"q"`)
	r.want(t, http.StatusNoContent, "GET", "/v2/images/"+id+"/file", "")
	r.want(t, http.StatusInternalServerError, "GET", "/v2/images/"+id+"/file", "", "Range: bytes=0-0")
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+id+"/stage", "data", octetStream)
	r.want(t, http.StatusNoContent, "GET", "/v2/images/"+id+"/file", "", "Range: bytes=0-0")
	empty := "/v2/images/" + r.newActive(t, "") + "/file"
	if got := r.want(t, http.StatusOK, "GET", empty, ""); len(got.body) != 0 {
		t.Errorf("empty image: %q", got.body)
	}
	r.want(t, http.StatusRequestedRangeNotSatisfiable, "GET", empty, "", "Range: bytes=0-")
}

// webob is the expression by which Glance reads the header.
var webob = regexp.MustCompile(`^(?i:bytes) *= *([0-9]*) *- *([0-9]*)`)

func FuzzRange(f *testing.F) {
	for _, c := range rangeTable {
		f.Add(c.header, int64(10))
	}
	f.Add("bytes=0-0", int64(0))
	f.Add("bytes=-1", int64(0))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		span, err := parseRange(header, size)
		var p *problem
		switch {
		case err == nil:
			if span.Off < 0 || span.Len <= 0 || span.End() > size {
				t.Errorf("%q of %d bytes: %+v", header, size, span)
			}
			if !webob.MatchString(header) {
				t.Errorf("%q was taken", header)
			}
		case !errors.As(err, &p):
			t.Errorf("%q: %v", header, err)
		case p.status == http.StatusInternalServerError:
			if m := webob.FindStringSubmatch(header); m == nil || m[1]+m[2] != "" {
				t.Errorf("%q answers 500", header)
			}
		}
	})
}
