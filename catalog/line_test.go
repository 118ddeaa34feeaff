package catalog

import (
	"fmt"
	"hash/maphash"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// TestLines: a line is a sorted slice, in whatever order they come and leave.
func TestLines(t *testing.T) {
	orderOf := func(r *record) order { return orderOf(r.rec, "") }
	rapid.Check(t, func(t *rapid.T) {
		l := newLines((*record).base, orderOf, maphash.MakeSeed())
		want := map[string][]*record{}
		steps := rapid.IntRange(0, 6*longestPart).Draw(t, "steps")
		way := rapid.SampledFrom([]int{0, 1, -1}).Draw(t, "in order")
		leaves := rapid.IntRange(0, 9).Draw(t, "one in ten leaves, or more")
		for i := range steps {
			name := rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "name")
			list := want[name]
			if len(list) > 0 && rapid.IntRange(0, 9).Draw(t, "leave") < leaves {
				at := rapid.IntRange(0, len(list)-1).Draw(t, "who")
				r := list[at]
				want[name] = slices.Delete(list, at, at+1)
				now, first := l.remove(r)
				if first != (at == 0) {
					t.Fatalf("it was the first: %v", first)
				}
				if at == 0 && len(want[name]) > 0 && now != want[name][0] || at == 0 && len(want[name]) == 0 && now != nil {
					t.Fatalf("the next one is %v", now)
				}
			} else {
				at := rapid.IntRange(0, 1<<30).Draw(t, "at")
				if way != 0 {
					at = 1<<30 + way*i
				}
				r := &record{rec: image.Pack(image.Image{ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", at, i), Name: name})}
				place, _ := slices.BinarySearchFunc(list, r, func(a, b *record) int { return orderOf(a).compare(orderOf(b)) })
				var before *record
				if len(list) > 0 {
					before = list[0]
				}
				want[name] = slices.Insert(list, place, r)
				if was, first := l.add(r); was != before || first != (place == 0) {
					t.Fatalf("the first was %v, and it is now: %v", was, first)
				}
			}
			for _, name := range []string{"a", "b", "c"} {
				if got := l.all(name); !slices.Equal(got, want[name]) {
					t.Fatalf("%d in the line, not %d, or in another order", len(got), len(want[name]))
				}
				head := l.head(name)
				if len(want[name]) == 0 && head != nil || len(want[name]) > 0 && head != want[name][0] {
					t.Fatalf("%v is the first", head)
				}
			}
		}
	})
}
