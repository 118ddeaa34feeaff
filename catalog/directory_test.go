package catalog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

const project = "our-project"

// epoch is before the time at which a simulated clock begins.
var epoch = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// drawID makes ids of which many share their first digits, and some all but their case.
func drawID(t *rapid.T) string {
	first := rapid.SampledFrom([]string{"1a2b3c4d", "ffeeddcc", "00000001", "1A2b3c4d"}).Draw(t, "digits")
	return fmt.Sprintf("%s-0000-4000-8000-%012x", first, rapid.IntRange(10, 15).Draw(t, "number"))
}

func drawImage(t *rapid.T, id string) image.Image {
	img := image.Image{
		ID: id, Status: image.StatusActive,
		Name:       drawName(t, "name"),
		Owner:      rapid.SampledFrom([]string{project, project, "theirs"}).Draw(t, "owner"),
		Visibility: rapid.SampledFrom([]image.Visibility{"public", "shared", "community", "private"}).Draw(t, "visibility"),
		CreatedAt:  epoch.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "created")) * time.Second),
	}
	if rapid.IntRange(0, 9).Draw(t, "hidden") == 0 {
		img.Hidden = true
	}
	if rapid.IntRange(0, 9).Draw(t, "inherits") == 0 {
		earlier := epoch.Add(-time.Hour)
		img.Properties = map[string]string{image.PropertyAttributes: image.Attributes{Created: &earlier}.Encode(id)}
	}
	return img
}

// everyVisibility is a filter for tests about images of every visibility.
var everyVisibility = image.Filter{Community: true}

// spec decides entries by the words of the design, slowly: the first of each
// group has the base entry, then the others, in order, the first free form.
func spec(images []image.Image, project string) map[string]string {
	images = slices.Clone(images)
	images = slices.DeleteFunc(images, func(img image.Image) bool { return !newDirectory(project, everyVisibility).shows(&img) })
	slices.SortFunc(images, func(a, b image.Image) int {
		x, y := orderOf(image.Pack(a), project), orderOf(image.Pack(b), project)
		return x.compare(y)
	})
	entries := map[string]string{} // entry → id
	var others []image.Image
	for _, img := range images {
		if base := EntryName(img.Name, img.ID); entries[base] == "" {
			entries[base] = img.ID
		} else {
			others = append(others, img)
		}
	}
	for _, img := range others {
		base := EntryName(img.Name, img.ID)
		entry := shortForm(base, img.ID)
		if entries[entry] != "" {
			entry = wholeForm(base, img.ID)
		}
		for n := 2; entries[entry] != ""; n++ {
			entry = numberedForm(base, img.ID, n)
		}
		entries[entry] = img.ID
	}
	return entries
}

func entriesOf(d *directory) map[string]string {
	got := map[string]string{}
	for r := range d.all() {
		entry := r.entry()
		if got[entry] != "" || d.at(entry) != r || d.get(r.id()) != r {
			got["not only at "+entry] = r.id()
		}
		got[entry] = r.id()
	}
	if len(got) != d.len() {
		got["records"] = fmt.Sprint(d.len())
	}
	return got
}

func TestDirectoryTable(t *testing.T) {
	img := func(id, name, owner string, visibility image.Visibility, second int) image.Image {
		return image.Image{ID: id, Name: name, Owner: owner, Visibility: visibility, Status: image.StatusActive,
			CreatedAt: epoch.Add(time.Duration(second) * time.Second)}
	}
	for title, tt := range map[string]struct {
		images []image.Image
		want   map[string]string
	}{
		"suffix before the extension": {
			[]image.Image{img(idA, "d.qcow2", project, "private", 0), img(idC, "d.qcow2", project, "private", 1)},
			map[string]string{"d.qcow2": idA, "d~ffeeddcc.qcow2": idC},
		},
		"ours, public, shared, community": {
			[]image.Image{img(idA, "d", "x", "community", 0), img(idB, "d", "x", "shared", 1), img(idC, "d", "x", "public", 2), img(idD, "d", project, "private", 3)},
			map[string]string{"d": idD, "d~ffeeddcc": idC, "d~1a2b3c4d": idB, "d~" + idA: idA},
		},
		"equal digits": {
			[]image.Image{img(idC, "d", project, "private", 0), img(idB, "d", project, "private", 1), img(idA, "d", project, "private", 1)},
			map[string]string{"d": idC, "d~1a2b3c4d": idA, "d~" + idB: idB},
		},
		"short form taken by a name": {
			[]image.Image{img(idC, "d.x", project, "private", 0), img(idA, "d.x", project, "private", 1), img(idB, "d~1a2b3c4d.x", "x", "public", 2)},
			map[string]string{"d.x": idC, "d~" + idA + ".x": idA, "d~1a2b3c4d.x": idB},
		},
		"every form taken by a name": {
			[]image.Image{img(idC, "d", project, "private", 0), img(idA, "d", project, "private", 1),
				img(idB, "d~1a2b3c4d", "x", "public", 2), img(idD, "d~"+idA, "x", "public", 2)},
			map[string]string{"d": idC, "d~" + idA + "~2": idA, "d~1a2b3c4d": idB, "d~" + idA: idD},
		},
		"nameless, and a name equal to its id": {
			[]image.Image{img(idA, "", project, "private", 1), img(idC, idA, project, "private", 0)},
			map[string]string{idA: idC, idA + "~1a2b3c4d": idA},
		},
		"hidden, deleted and malformed are not shown": {
			[]image.Image{{ID: idA, Name: "h", Hidden: true}, {ID: idB, Name: "g", Status: image.StatusPendingDelete},
				{ID: "../x", Name: ""}, {ID: idC, Name: "s", Status: image.StatusSaving}},
			map[string]string{"s": idC},
		},
	} {
		if diff := cmp.Diff(tt.want, entriesOf(build(project, everyVisibility, tt.images))); diff != "" {
			t.Errorf("%s: %s", title, diff)
		}
		if diff := cmp.Diff(tt.want, spec(tt.images, project)); diff != "" {
			t.Errorf("%s: the specification itself: %s", title, diff)
		}
	}
}

// TestDirectoryProperties: every image has one entry, no two share one, in
// whatever order they come, by one build and change by change.
func TestDirectoryProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		images := map[string]image.Image{}
		d := newDirectory(project, everyVisibility)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := drawID(t)
			before := entriesOf(d)
			touched := map[string]bool{}
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				delete(images, id)
				d.remove(id, touched)
			} else {
				images[id] = drawImage(t, id)
				d.put(images[id], touched)
			}
			list := slices.Collect(maps.Values(images)) // in random order
			want := spec(list, project)
			if diff := cmp.Diff(want, entriesOf(d)); diff != "" {
				t.Fatalf("change by change: %s", diff)
			}
			if diff := cmp.Diff(want, entriesOf(build(project, everyVisibility, list))); diff != "" {
				t.Fatalf("build: %s", diff)
			}
			count := 0
			for _, img := range list {
				if d.shows(&img) {
					count++
				}
			}
			if len(want) != count {
				t.Fatalf("%d entries for %d images", len(want), count)
			}
			for entry := range maps.Keys(union(before, want)) {
				if had, told := touched[entry]; before[entry] != want[entry] && !told {
					t.Fatalf("%q went from %q to %q and was not told", entry, before[entry], want[entry])
				} else if had && before[entry] == "" || told && !had && before[entry] != "" {
					t.Fatalf("%q went from %q to %q and was told as one that had an image: %v", entry, before[entry], want[entry], had)
				}
			}
		}
	})
}

// TestDirectoryLongHistory: as TestDirectoryProperties, with groups of hundreds.
func TestDirectoryLongHistory(t *testing.T) {
	for seed := range uint64(5) {
		images := map[string]image.Image{}
		d := newDirectory(project, everyVisibility)
		random := rand.New(rand.NewPCG(seed, 0))
		names := []string{"disk.qcow2", "disk.qcow2", "disk.qcow2", "disk~00000001.qcow2", "", "a/b"}
		for range 1500 {
			id := fmt.Sprintf("%08x-0000-4000-8000-%012x", random.IntN(3), random.IntN(200))
			if random.IntN(4) == 0 {
				delete(images, id)
				d.remove(id, nil)
				continue
			}
			images[id] = image.Image{ID: id, Name: names[random.IntN(len(names))], Status: image.StatusActive, Size: random.Int64N(2),
				Owner: []string{project, "theirs"}[random.IntN(2)], Visibility: image.VisibilityPublic, CreatedAt: epoch.Add(time.Duration(random.IntN(100)) * time.Second)}
			d.put(images[id], nil)
		}
		list := slices.Collect(maps.Values(images))
		if diff := cmp.Diff(spec(list, project), entriesOf(d)); diff != "" {
			t.Fatal(diff)
		}
		for _, r := range d.group("disk.qcow2") {
			if img := images[r.id()]; cmp.Diff(img, r.image()) != "" {
				t.Fatalf("%+v is not what was put", r.image())
			}
		}
		for id := range images {
			d.remove(id, nil)
		}
		if len(entriesOf(d)) > 0 || len(d.groups.whole)+len(d.claims.whole)+len(d.longer)+d.groups.first.n+d.claims.first.n > 0 {
			t.Fatal("something is left of nothing")
		}
	}
}

func union(a, b map[string]string) map[string]string {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}

// BenchmarkBuild: a hundred thousand images of one name are no reason to be
// slow, nor are a hundred thousand names.
func BenchmarkBuild(b *testing.B) {
	for title, name := range map[string]func(int) string{
		"one name":   func(int) string { return "disk.qcow2" },
		"many names": func(i int) string { return fmt.Sprintf("disk-%d.qcow2", i) },
	} {
		images := make([]image.Image, 100_000)
		for i := range images {
			images[i] = image.Image{ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i), Name: name(i), Owner: project,
				Status: image.StatusActive, CreatedAt: epoch.Add(time.Duration(i/3) * time.Second)}
		}
		b.Run(title, func(b *testing.B) {
			for b.Loop() {
				if d := build(project, everyVisibility, images); d.len() != len(images) {
					b.Fatal(d.len())
				}
			}
		})
	}
}
