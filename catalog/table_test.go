package catalog

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// TestTable: a table is a map, also where hashes are equal and while it is walked.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := rapid.SampledFrom([]uint64{1, 3, 1 << 40, 0}).Draw(t, "hashes") // how many there are; 0: many
		hash := func(name string) uint64 {
			var h uint64 = 14695981039346656037 // FNV-1a
			for i := range len(name) {
				h = (h ^ uint64(name[i])) * 1099511628211
			}
			if hashes != 0 {
				h %= hashes
			}
			return h
		}
		tab := table{hash: func(r *record) uint64 { return hash(r.rec.Name()) }}
		want := map[string]*record{}
		names := rapid.Map(rapid.IntRange(0, 60), func(i int) string { return fmt.Sprint(i) })
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			name := names.Draw(t, "name")
			fresh := &record{rec: image.Pack(image.Image{Name: name})}
			switch old := want[name]; {
			case old == nil:
				tab.add(hash(name), fresh)
				want[name] = fresh
			case rapid.Bool().Draw(t, "replace"):
				tab.replace(hash(name), old, fresh)
				want[name] = fresh
			default:
				tab.remove(hash(name), old)
				delete(want, name)
			}
			for i := range 61 {
				name := fmt.Sprint(i)
				if got := tab.find(hash(name), func(r *record) bool { return r.rec.Name() == name }); got != want[name] {
					t.Fatalf("%q: %v, not %v", name, got, want[name])
				}
			}
		}
		drop := rapid.IntRange(1, 3).Draw(t, "drop one of")
		walked := map[string]bool{}
		for r := range tab.all() {
			name := r.rec.Name()
			if want[name] != r || walked[name] {
				t.Fatalf("%q is not there, or came twice", name)
			}
			if walked[name] = true; len(walked)%drop == 0 {
				tab.remove(hash(name), r)
				delete(want, name)
				walked[name] = false
			}
		}
		for name := range want {
			if !walked[name] {
				t.Fatalf("%q did not come", name)
			}
		}
		if tab.n != len(want) {
			t.Fatalf("%d records, not %d", tab.n, len(want))
		}
	})
}
