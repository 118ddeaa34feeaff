package test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

const exitNoImage = 29

// An object is what ls --json prints of an entry.
type object struct {
	Entry      string   `json:"entry"`
	ID         *string  `json:"id"`
	Name       *string  `json:"name"`
	Status     *string  `json:"status"`
	Visibility *string  `json:"visibility"`
	DiskFormat *string  `json:"disk_format"`
	Size       *int64   `json:"size"`
	Owner      *string  `json:"owner"`
	Tags       []string `json:"tags"`
	Cached     *int64   `json:"cached"`
}

// objects runs imagefs ls --json and returns what it prints of names with a prefix, by
// entry.
func objects(t *testing.T, prefix string, args ...string) map[string]object {
	t.Helper()
	all := map[string]object{}
	for d := json.NewDecoder(strings.NewReader(run(t, binary, append([]string{"ls", "--json"}, args...)...))); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(o.Entry, prefix) {
			all[o.Entry] = o
		}
	}
}

// ls shows the entries of a mount, with and without one, and what they stand for.
func TestLs(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		const p = "listed "
		for _, n := range []image.New{
			{Name: p + "plain", Tags: []string{"ls"}},
			{Name: p + "twin.iso", DiskFormat: "iso", ContainerFormat: "bare"},
			{Name: p + "twin.iso", Visibility: image.VisibilityPrivate},
			{Name: p + "a/b\nc\x1b[31m"},
			{Name: p + strings.Repeat("中", 100)},
			{Name: p + "e\u0301"}, {Name: p + "\u00e9"}, {Name: p + "É"},
			{Name: p + "\u202Eright to left"},
		} {
			s.upload(t, n, noise(211, 300_000))
		}
		queued, err := s.api.Create(t.Context(), image.New{Name: p + "queued"})
		if err != nil {
			t.Fatal(err)
		}
		s.cleanUp(t, queued.ID)
		m := mountOn(t, s, "--list-ttl", "1h")
		mounted, direct := objects(t, p, m.dir), objects(t, p, s.args...)
		entries, err := os.ReadDir(m.dir)
		if err != nil {
			t.Fatal(err)
		}
		shown := 0
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), p) {
				continue
			}
			shown++
			o, ok := mounted[e.Name()]
			if !ok {
				t.Errorf("ls does not show %q", e.Name())
				continue
			}
			if id := strings.TrimSpace(run(t, "getfattr", "--only-values", "-n", "user.image.id", m.path(e.Name()))); o.ID == nil || *o.ID != id {
				t.Errorf("%q is %v, and ls says %v", e.Name(), id, o.ID)
			}
		}
		if shown != 10 || len(mounted) != shown {
			t.Errorf("the directory shows %d entries, ls %d", shown, len(mounted))
		}
		run(t, "cat", m.path(p+"plain"))
		if o := objects(t, p, m.dir)[p+"plain"]; o.Cached == nil || *o.Cached != 300_000 {
			t.Errorf("what was read is not cached: %+v", o)
		}
		for entry, o := range mounted {
			o.Cached = nil
			mounted[entry] = o
		}
		if diff := cmp.Diff(mounted, direct); diff != "" {
			t.Errorf("ls of the mount and of the service differ: %s", diff)
		}
		if o := direct[p+"queued"]; o.Size != nil || o.DiskFormat != nil || o.Status == nil || *o.Status != "queued" {
			t.Errorf("a record without data: %+v", o)
		}
		if o := direct[p+"plain"]; *o.Size != 300_000 || *o.Owner == "" || len(o.Tags) != 1 || *o.DiskFormat != "raw" {
			t.Errorf("%+v", o)
		}
		for args, want := range map[string]int{"--tag ls": 1, "--format iso": 1, "--visibility private": 1, "--status queued": 1} {
			for _, where := range [][]string{{m.dir}, s.args} {
				if got := len(objects(t, p, append(strings.Fields(args), where...)...)); got != want {
					t.Errorf("ls %s %v shows %d of them", args, where, got)
				}
			}
		}
		var info struct{ object }
		if err := json.Unmarshal([]byte(run(t, binary, append([]string{"info", "--json", p + "plain"}, s.args...)...)), &info.object); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(direct[p+"plain"], info.object); diff != "" {
			t.Errorf("info says something else: %s", diff)
		}
		if failed := fails(t, binary, "info", m.path(p+"none")); failed.code != exitNoImage {
			t.Errorf("info of what is not there: %v", failed)
		}
		const pipe = `"$0" ls --json "$1" | jq -r 'select(.name == "listed a/b\nc\u001b[31m") | .entry, .disk_format'`
		if got := run(t, "sh", "-c", pipe, binary, m.dir); got != "listed a%2Fb%0Ac%1B[31m\nraw\n" {
			t.Errorf("jq: %q", got)
		}
		table := run(t, binary, "ls", "--long", m.dir)
		if strings.ContainsAny(table, "\x1b\x7f") || strings.Count(table, p) != shown {
			t.Errorf("%q", table)
		}
	})
}
