package imageserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestPatchStatuses(t *testing.T) {
	r := open(t, Options{})
	queued := r.newImage(t, `"name":"q","x":"1","kernel_id":null`)
	active := r.newActive(t, "data")
	long := strings.Repeat("k", 256)
	for _, c := range []struct {
		status int
		id     string
		body   string
	}{
		{200, queued, `[]`},
		{200, queued, `[{"op":"add","path":"/a~1b","value":"v"}]`},
		{200, queued, `[{"op":"add","path":"/","value":"v"}]`},
		{200, queued, `[{"op":"replace","path":"/name","value":null}]`},
		{200, queued, `[{"op":"replace","path":"/name","value":"` + strings.Repeat("中", 255) + `"}]`},
		{200, queued, `[{"op":"replace","path":"/min_disk","value":1.0}]`},
		{200, queued, `[{"op":"replace","path":"/disk_format","value":"qcow2"}]`},
		{200, queued, `[{"op":"replace","path":"/visibility","value":"private"}]`},
		{200, queued, `[{"op":"add","path":"/name","value":"n"}]`},
		{400, queued, `{}`},
		{400, queued, `[1]`},
		{400, queued, `x`},
		{400, queued, ``},
		{400, queued, `[] []`},
		{400, queued, `[{"path":"/a"}]`},
		{400, queued, `[{"op":"move","path":"/a"}]`},
		{400, queued, `[{"op":"add","value":"v"}]`},
		{400, queued, `[{"op":"add","path":"a","value":"v"}]`},
		{400, queued, `[{"op":"add","path":5,"value":"v"}]`},
		{400, queued, `[{"op":"add","path":"/a//b","value":"v"}]`},
		{400, queued, `[{"op":"add","path":"/a/","value":"v"}]`},
		{400, queued, `[{"op":"add","path":"/a~2","value":"v"}]`},
		{400, queued, `[{"op":"add","path":"/a/b","value":"v"}]`},
		{400, queued, `[{"op":"add","path":"/tags/-","value":"v"}]`},
		{400, queued, `[{"op":"add","path":"/a"}]`},
		{400, queued, `[{"op":"add","path":"/n","value":1}]`},
		{400, queued, `[{"op":"add","path":"/n","value":null}]`},
		{400, queued, `[{"op":"add","path":"/n","value":"😀"}]`},
		{400, queued, `[{"op":"add","path":"/` + long + `","value":"v"}]`},
		{400, queued, `[{"op":"replace","path":"/name","value":"😀"}]`},
		{400, queued, `[{"op":"replace","path":"/name","value":"` + long + `"}]`},
		{400, queued, `[{"op":"replace","path":"/visibility","value":"x"}]`},
		{400, queued, `[{"op":"replace","path":"/min_disk","value":-1}]`},
		{400, queued, `[{"op":"replace","path":"/min_disk","value":9999999999}]`},
		{400, queued, `[{"op":"replace","path":"/protected","value":"yes"}]`},
		{400, queued, `[{"op":"replace","path":"/tags","value":["a",1]}]`},
		{400, queued, `[{"op":"replace","path":"/disk_format","value":"floppy"}]`},
		{403, queued, `[{"op":"add","path":"/id","value":"x"}]`},
		{403, queued, `[{"op":"replace","path":"/size","value":1}]`},
		{403, queued, `[{"op":"replace","path":"/status","value":"active"}]`},
		{403, queued, `[{"op":"replace","path":"/checksum","value":"x"}]`},
		{403, queued, `[{"op":"add","path":"/os_glance_x","value":"x"}]`},
		{403, queued, `[{"op":"add","path":"/deleted","value":"x"}]`},
		{403, queued, `[{"op":"add","path":"/locations/-","value":"x"}]`},
		{403, queued, `[{"op":"remove","path":"/name"}]`},
		{403, queued, `[{"op":"replace","path":"/owner","value":"x"}]`},
		{403, queued, `[{"op":"replace","path":"/visibility","value":"public"}]`},
		{403, active, `[{"op":"replace","path":"/disk_format","value":"qcow2"}]`},
		{403, active, `[{"op":"replace","path":"/container_format","value":"ovf"}]`},
		{404, "nonsense", `[{"op":"add","path":"/a","value":"v"}]`},
		{409, queued, `[{"op":"replace","path":"/nope","value":"v"}]`},
		{409, queued, `[{"op":"remove","path":"/nope"}]`},
		{409, queued, `[{"op":"add","path":"/new","value":"v"},{"op":"remove","path":"/nope"}]`},
		{413, queued, `[{"op":"replace","path":"/tags","value":` + manyTags(129) + `}]`},
		{413, queued, manyProperties(129)},
	} {
		r.want(t, c.status, "PATCH", "/v2/images/"+c.id, c.body, patchType)
	}
	p := r.want(t, http.StatusUnsupportedMediaType, "PATCH", "/v2/images/"+queued, `[]`, "Content-Type: application/json")
	if got := p.header.Get("Accept-Patch"); got != patchV20+", "+patchV21 {
		t.Errorf("Accept-Patch %q", got)
	}
	got := r.want(t, http.StatusOK, "GET", "/v2/images/"+queued, "").json(t)
	if got["a/b"] != "v" || got[""] != "v" || got["new"] != nil {
		t.Errorf("after all patches: %v", got)
	}
}

func TestPatchV20(t *testing.T) {
	r := open(t, Options{})
	path := "/v2/images/" + r.newImage(t, `"x":"1"`)
	kind := "Content-Type: " + patchV20
	r.want(t, http.StatusOK, "PATCH", path, `[{"replace":"/x","value":"2"},{"add":"/y","value":"3"}]`, kind)
	r.want(t, http.StatusConflict, "PATCH", path, `[{"add":"/x","value":"2"}]`, kind)
	r.want(t, http.StatusConflict, "PATCH", path, `[{"add":"/name","value":"2"}]`, kind)
	r.want(t, http.StatusBadRequest, "PATCH", path, `[{"add":"/z","remove":"/x","value":"2"}]`, kind)
	r.want(t, http.StatusBadRequest, "PATCH", path, `[{"value":"2"}]`, kind)
	got := r.want(t, http.StatusOK, "PATCH", path, `[{"remove":"/y"}]`, kind).json(t)
	if got["x"] != "2" || got["y"] != nil {
		t.Errorf("%v", got)
	}
}

// TestPatchWithManyProperties pins that only adding is counted.
func TestPatchWithManyProperties(t *testing.T) {
	r := open(t, Options{})
	path := "/v2/images/" + r.newImage(t, `"name":"m"`)
	r.want(t, http.StatusOK, "PATCH", path, manyProperties(128), patchType)
	r.want(t, http.StatusRequestEntityTooLarge, "PATCH", path, `[{"op":"add","path":"/new","value":"v"}]`, patchType)
	r.want(t, http.StatusOK, "PATCH", path, `[{"op":"replace","path":"/p1","value":"v"}]`, patchType)
	r.want(t, http.StatusOK, "PATCH", path, `[{"op":"remove","path":"/p1"},{"op":"add","path":"/new","value":"v"}]`, patchType)
}

func manyTags(n int) string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"t%d"`, i)
	}
	return "[" + strings.Join(tags, ",") + "]"
}

func manyProperties(n int) string {
	ops := make([]string, n)
	for i := range ops {
		ops[i] = fmt.Sprintf(`{"op":"add","path":"/p%d","value":"v"}`, i)
	}
	return "[" + strings.Join(ops, ",") + "]"
}

// FuzzPatch feeds patches to the parser and to a record: whatever is taken
// leaves a record that can be stored and read again, and nothing reserved.
func FuzzPatch(f *testing.F) {
	for _, body := range []string{
		`[]`, `{}`, `[1]`, `[{"op":"add","path":"/a~1b","value":"v"}]`, `[{"op":"replace","path":"/tags","value":["a"]}]`,
		`[{"op":"remove","path":"/x"}]`, `[{"add":"/x","value":"v"}]`, `[{"op":"replace","path":"/min_disk","value":1e3}]`,
		`[{"op":"add","path":"/locations/-","value":{}}]`, `[{"op":"add","path":"/~0~1","value":"v"}]`,
	} {
		f.Add(body, false)
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, text string, v20 bool) {
		body, err := parseJSON([]byte(text))
		if err != nil {
			return
		}
		changes, err := parseChanges(body, v20)
		if err != nil {
			return
		}
		x := "1"
		rec := &record{Status: "queued", Visibility: "shared", Properties: map[string]*string{"x": &x}}
		if rec.apply(changes, caller{project: "p"}) != nil {
			return
		}
		for name := range rec.Properties {
			if strings.HasPrefix(name, reservedPrefix) || name == "id" || name == "size" {
				t.Errorf("%s made property %q", text, name)
			}
		}
		stored, err := json.Marshal(rec)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := json.Unmarshal(stored, &record{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}

func FuzzPointer(f *testing.F) {
	for _, name := range []string{"a", "a/b", "~", "~1", "a b", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.TrimSpace(name) != name { // Glance trims
			return
		}
		escaped := strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
		parts, err := parsePointer("/" + escaped)
		if err != nil || len(parts) != 1 || parts[0] != name {
			t.Errorf("%q: %q, %v", name, parts, err)
		}
	})
}
