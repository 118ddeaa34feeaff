package imageserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// shelf is a server with images whose order and attributes are known: a second
// passes between two of them.
func shelf(t *testing.T) *rig {
	c := newClock()
	r := open(t, Options{Clock: c.time})
	foreign := "X-Project-Id: other"
	make := func(fields string, header ...string) string {
		c.advance(time.Second)
		return r.newImage(t, fields, header...)
	}
	make(`"id":"00000000-0000-4000-8000-000000000001","name":"b","tags":["t1","t2"],"os":"x"`)
	make(`"id":"00000000-0000-4000-8000-000000000002","name":"a","tags":["t1"],"min_disk":3,"protected":true`)
	raw := make(`"id":"00000000-0000-4000-8000-000000000003","name":"c,d","disk_format":"raw","container_format":"bare"`)
	make(`"id":"00000000-0000-4000-8000-000000000004","name":"in:z","disk_format":"qcow2"`)
	make(`"id":"00000000-0000-4000-8000-000000000005","name":"hidden","os_hidden":true`)
	make(`"id":"00000000-0000-4000-8000-000000000006","name":"com","visibility":"community"`)
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+raw+"/file", "0123456789", octetStream)
	make(`"id":"00000000-0000-4000-8000-000000000007","name":"theirs","visibility":"private"`, foreign)
	make(`"id":"00000000-0000-4000-8000-000000000008","name":"theircom","visibility":"community"`, foreign)
	make(`"id":"00000000-0000-4000-8000-000000000009","name":"pub","visibility":"public"`, foreign, "X-Roles: reader, admin")
	for i, status := range []string{"pending", "accepted", "rejected"} {
		id := make(fmt.Sprintf(`"id":"00000000-0000-4000-8000-00000000001%d","name":%q`, i, status), foreign)
		r.want(t, http.StatusOK, "POST", "/v2/images/"+id+"/members", `{"member":"imagefs"}`, foreign)
		r.want(t, http.StatusOK, "PUT", "/v2/images/"+id+"/members/imagefs", `{"status":"`+status+`"}`)
	}
	return r
}

func TestListFilters(t *testing.T) {
	r := shelf(t)
	for _, c := range []struct{ query, want string }{
		{"", "accepted pub com in:z c,d a b"},
		{"limit=0", ""},
		{"limit=2", "accepted pub"},
		{"limit=100000", "accepted pub com in:z c,d a b"},
		{"marker=00000000-0000-4000-8000-000000000003", "a b"},
		{"marker=00000000-0000-4000-8000-000000000005&limit=2", "in:z c,d"},
		{"name=eq:a", "a"},
		{"name=a", "a"},
		{"name=eq:A", ""},
		{"name=in:a,b", "a b"},
		{`name=in:"c,d",b`, "c,d b"},
		{"name=eq:in:z", "in:z"},
		{"name=in:z", ""},
		{"name=eq:a&name=eq:b", "b"},
		{"name=eq:", ""},
		{"id=in:00000000-0000-4000-8000-000000000001,nope", "b"},
		{"status=active", "c,d"},
		{"status=in:active,queued&limit=1", "accepted"},
		{"visibility=public", "pub"},
		{"visibility=private", ""},
		{"visibility=community", "theircom com"},
		{"visibility=shared", "accepted in:z c,d a b"},
		{"visibility=all", "accepted pub theircom com in:z c,d a b"},
		{"member_status=all&visibility=shared", "rejected accepted pending in:z c,d a b"},
		{"member_status=pending&visibility=shared", "pending in:z c,d a b"},
		{"tag=t1", "a b"},
		{"tag=t1&tag=t2", "b"},
		{"tag=t1&tag=nope", ""},
		{"owner=other", "accepted pub"},
		{"owner=imagefs", "com in:z c,d a b"},
		{"size_min=10&size_max=10", "c,d"},
		{"size_min=11", ""},
		{"size=10", "c,d"},
		{"min_disk=3", "a"},
		{"min_disk_min=1", "a"},
		{"protected=true", "a"},
		{"os_hidden=true", "hidden"},
		{"os_hidden=TRUE", "hidden"},
		{"disk_format=in:raw,qcow2", "in:z c,d"},
		{"container_format=bare", "c,d"},
		{"os=x", "b"},
		{"os=y", ""},
		{"nothing=of-that-name", ""},
		{"checksum=781e5e245d69b566979b86e28d23f2c7", "c,d"},
		{"created_at=gt:2026-01-02T03:04:07Z&visibility=shared", "accepted in:z c,d"},
		{"created_at=gte:2026-01-02T03:04:07Z&name=eq:a", "a"},
		{"created_at=lt:2026-01-02T03:04:07Z", "b"},
		{"created_at=lte:2026-01-02T04:04:07%2B01:00", "a b"},
		{"created_at=2026-01-02T03:04:06Z", "b"},
		{"created_at=neq:2026-01-02T03:04:06&visibility=shared", "accepted in:z c,d a"},
		{"updated_at=eq:2026-01-02T03:04:11Z", "com c,d"},
		{"sort_key=name&sort_dir=asc", "a accepted b c,d com in:z pub"},
		{"sort=name", "pub in:z com c,d b accepted a"},
		{"sort=status:asc,name:asc&limit=3", "c,d a accepted"},
		{"sort_key=size&sort_key=name&sort_dir=desc&sort_dir=asc&limit=2", "c,d a"},
		{"sort_dir=asc", "b a c,d in:z com pub accepted"},
		{"sort=id:asc&limit=2", "b a"},
		{"sort_key=name&sort_dir=asc&marker=00000000-0000-4000-8000-000000000002&limit=2", "accepted b"},
	} {
		got := r.want(t, http.StatusOK, "GET", "/v2/images?"+c.query, "").json(t)
		if names(got) != c.want {
			t.Errorf("%s: got %q, want %q", c.query, names(got), c.want)
		}
		if got["schema"] != "/v2/schemas/images" {
			t.Errorf("%s: schema %v", c.query, got["schema"])
		}
	}
}

func TestListRefusals(t *testing.T) {
	r := shelf(t)
	for query, status := range map[string]int{
		"limit=x":         400,
		"limit=-1":        400,
		"marker=nonsense": 400,
		"marker=":         400,
		"marker=00000000-0000-4000-8000-000000000007": 403,
		"name=neq:a":                 400,
		"name=x:y":                   400,
		`name=in:"a`:                 400,
		`name=in:a"b"`:               400,
		`name=in:"a"b`:               400,
		"visibility=x":               400,
		"member_status=x":            400,
		"os_hidden=x":                400,
		"protected=True":             400,
		"size_min=x":                 400,
		"name_min=1":                 400,
		"created_at=x":               400,
		"created_at=gt:x":            400,
		"created_at=is:2026-01-02":   400,
		"changes-since=2026-01-02":   400,
		"sort_key=min_disk":          400,
		"sort_dir=up":                400,
		"sort=name:up":               400,
		"sort=name&sort_key=name":    400,
		"sort_dir=asc&sort_dir=desc": 400,
		"sort=":                      400,
	} {
		r.want(t, status, "GET", "/v2/images?"+query, "")
	}
}

// TestPaging walks every order page by page: each image comes once, and a page
// that is just full promises another.
func TestPaging(t *testing.T) {
	c := newClock()
	r := open(t, Options{Clock: c.time, NoSync: true})
	all := map[string]bool{}
	for i := range 60 {
		if i%7 == 0 {
			c.advance(time.Second) // the others tie
		}
		fields := fmt.Sprintf(`"name":"n%d"`, i%4)
		if i%5 == 0 {
			fields = `"name":null`
		}
		all[r.newImage(t, fields)] = true
	}
	for _, order := range []string{"", "sort_key=name", "sort=name:asc", "sort=size:asc,status", "sort=id", "sort=updated_at:asc,name:desc", "sort_dir=asc"} {
		for _, limit := range []int{1, 7, 20, 60} {
			seen := map[string]bool{}
			pages := 0
			for next := fmt.Sprintf("/v2/images?limit=%d&%s", limit, order); next != ""; pages++ {
				page := r.want(t, http.StatusOK, "GET", next, "").json(t)
				for _, item := range page["images"].([]any) {
					id := item.(map[string]any)["id"].(string)
					if seen[id] {
						t.Fatalf("%s, limit %d: %s twice", order, limit, id)
					}
					seen[id] = true
				}
				if !strings.HasPrefix(page["first"].(string), "/v2/images?limit=") {
					t.Fatalf("first %v", page["first"])
				}
				next, _ = page["next"].(string)
			}
			if len(seen) != len(all) {
				t.Errorf("%s, limit %d: %d images, want %d", order, limit, len(seen), len(all))
			}
			if want := 60/limit + 1; pages != want {
				t.Errorf("%s, limit %d: %d pages, want %d", order, limit, pages, want)
			}
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct{ raw, first, next string }{
		{"", "", "marker=M"},
		{"limit=3", "limit=3", "limit=3&marker=M"},
		{"z=1&marker=x&a=b%3Ac", "z=1&a=b%3Ac", "z=1&a=b%3Ac&marker=M"},
		{"tag=a&tag=b", "tag=b", "tag=b&marker=M"}, // as Glance: only the last
		{"a", "a=", "a=&marker=M"},
		{"a=%zz&b=c", "b=c", "b=c&marker=M"},
	} {
		values, _ := url.ParseQuery(c.raw) // what cannot be parsed is left out
		first, next := links(c.raw, values, "M")
		if first != c.first || next != c.next {
			t.Errorf("%q: %q, %q", c.raw, first, next)
		}
	}
}

func TestSplitList(t *testing.T) {
	for text, want := range map[string][]string{
		"":             nil,
		"a":            {"a"},
		"a,b":          {"a", "b"},
		"a,,b,":        {"a", "b"},
		`"a,b",c`:      {"a,b", "c"},
		`"a\"b",c`:     {`a\"b`, "c"},
		`a,"b","c d",`: {"a", "b", "c d"},
	} {
		got, err := splitList(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// BenchmarkPage is the cost of one page of a thousand among 100,000 images.
func BenchmarkPage(b *testing.B) {
	ix := newIndex()
	var records []*record
	start := newClock().now
	for i := range 100_000 {
		name, owner := fmt.Sprintf("image %d", i), "p"
		records = append(records, &record{
			ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i*7919%100_000), Name: &name, Owner: &owner,
			CreatedAt: start.Add(time.Duration(i/3) * time.Second), Visibility: "shared",
		})
	}
	ix.fill(records)
	for _, order := range []string{"", "sort_key=name", "name=eq:image%20500"} {
		b.Run("order="+order, func(b *testing.B) {
			values, err := url.ParseQuery("limit=1000&marker=" + records[50_000].ID + "&" + order)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				q, err := parseQuery(values)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := ix.page(q, caller{project: "p"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
