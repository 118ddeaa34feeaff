package fs

import (
	"hash/fnv"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestInodeNumber(t *testing.T) {
	for _, name := range []string{"id", byIDName} {
		h := fnv.New64a()
		h.Write([]byte(name))
		if ino := inodeNumber(name); ino != h.Sum64() || keyOf(name).number() != ino {
			t.Errorf("%q: %d, want %d", name, ino, h.Sum64())
		}
	}
	if ino := inodeNumber("\xd5\x6b\xb9\x53\x42\x87\x08\x36"); ino <= 1 { // the text whose hash is 0
		t.Errorf("the number %d is taken", ino)
	}
}

// The table against two plain maps, under every sequence of what happens to nodes.
func TestNodeTable(t *testing.T) {
	ids := []string{"a", "b", "0a1b2c3d-0000-4000-8000-0123456789ab", "0a1b2c3d-0000-4000-8000-0123456789AB"}
	rapid.Check(t, func(t *rapid.T) {
		table, lead := newNodeTable(), map[nodeKey]*node{}
		var alive, forgotten []*node
		revived := map[*node]bool{}
		key := rapid.Custom(func(t *rapid.T) nodeKey {
			k := keyOf(rapid.SampledFrom(ids).Draw(t, "id"))
			k.byID = rapid.Bool().Draw(t, "byID")
			return k
		})
		drop := func(n *node) {
			if lead[n.key] == n {
				delete(lead, n.key)
			}
		}
		some := func(t *rapid.T) *node {
			if len(alive) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(alive).Draw(t, "node")
		}
		t.Repeat(map[string]func(*rapid.T){
			"look up": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if n := table.of(k); n != nil {
					table.keep(n)
					return
				}
				n := &node{key: k, ino: table.freeNumber(k)}
				table.keep(n)
				alive, lead[k] = append(alive, n), n
			},
			"give another image": func(t *rapid.T) {
				n, k := some(t), key.Draw(t, "key")
				if lead[k] != nil || n.parted && n.ino == k.number() {
					t.Skip() // no two nodes are behind one image, and an image does not come back
				}
				drop(n)
				table.rekey(n, k)
				lead[k] = n
			},
			"give its entry another node": func(t *rapid.T) {
				n := some(t)
				drop(n)
				n.parted = true
				table.hide(n)
			},
			"forget": func(t *rapid.T) {
				i := 0
				n := some(t)
				for alive[i] != n {
					i++
				}
				drop(n)
				n.forgotten = true
				table.drop(n)
				alive = append(alive[:i], alive[i+1:]...)
				forgotten = append(forgotten, n)
			},
			"revive": func(t *rapid.T) {
				if len(forgotten) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(forgotten)-1).Draw(t, "node")
				n := forgotten[i]
				if lead[n.key] != nil || n.parted {
					t.Skip() // it is not what a lookup finds
				}
				forgotten = append(forgotten[:i], forgotten[i+1:]...)
				n.forgotten, revived[n] = false, true
				table.keep(n)
				alive, lead[n.key] = append(alive, n), n
			},
			"": func(t *rapid.T) {
				all, numbers := table.all(), map[uint64]*node{}
				for _, n := range alive {
					if !revived[n] && numbers[n.ino] != nil {
						t.Fatal("two nodes have one number, and none was revived")
					}
					if !revived[n] {
						numbers[n.ino] = n
					}
					if found := table.numbered[n.ino]; found != nil && (found.ino != n.ino || found.forgotten) {
						t.Fatalf("the number %d leads to node %d, forgotten: %t", n.ino, found.ino, found.forgotten)
					}
					if lead[n.key] == n && !slices.Contains(all, n) {
						t.Fatal("a node is not among all")
					}
				}
				if len(all) > len(alive) {
					t.Fatalf("there are %d nodes, want %d", len(all), len(alive))
				}
				for _, id := range ids {
					for _, byID := range []bool{false, true} {
						k := keyOf(id)
						k.byID = byID
						got := table.of(k)
						if got != lead[k] {
							t.Fatalf("%+v leads to %v, want %v", k, got, lead[k])
						}
						if got != nil && table.number(k) != got.ino {
							t.Fatalf("%+v has the number %d, and is listed with %d", k, got.ino, table.number(k))
						}
					}
				}
			},
		})
		for _, n := range alive {
			table.drop(n)
		}
		if table.count() != 0 {
			t.Fatalf("%d are left", table.count())
		}
	})
}
