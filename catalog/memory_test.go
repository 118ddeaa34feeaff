package catalog

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// realistic is an image as build pipelines publish them.
func realistic(i int, name string) image.Image {
	checksum, hash := md5.Sum(fmt.Append(nil, i)), sha512.Sum512(fmt.Append(nil, i))
	created := epoch.Add(time.Duration(i) * time.Minute)
	return image.Image{
		ID:   fmt.Sprintf("%x-%x-%x-%x-%x", hash[:4], hash[4:6], hash[6:8], hash[8:10], hash[10:16]),
		Name: name, Status: image.StatusActive, Visibility: image.VisibilityPrivate,
		Owner: "6f1ed002ab5595859014ebf0951522d9", DiskFormat: "qcow2", ContainerFormat: "bare", Size: int64(hash[0])<<24 + 1<<28, MinDisk: 10,
		Checksum: hex.EncodeToString(checksum[:]), HashAlgo: "sha512", HashValue: hex.EncodeToString(hash[:]), Tags: []string{},
		CreatedAt: created, UpdatedAt: created.Add(40 * time.Second),
		Properties: map[string]string{
			"build_pipeline_number": fmt.Sprintf("nightly-images-%07d", i), "os_distribution_name": "ubuntu 24.04 noble #",
			"git_revision_of_build": hex.EncodeToString(hash[20:30]),
		},
	}
}

// naming are ways to name images, and how many bytes a directory of so many may take for
// each.
var naming = []struct {
	title  string
	name   func(int) string
	images int
	bytes  float64
}{
	{"names of their own", func(i int) string { return fmt.Sprintf("ubuntu-24.04-server-%06d.qcow2", i) }, 100_000, 320},
	{"two of each name", func(i int) string { return fmt.Sprintf("ubuntu-24.04-server-%06d.qcow2", i/2) }, 20_000, 400},
	{"one name", func(int) string { return "ubuntu-24.04-server-000000.qcow2" }, 20_000, 400},
	{"no name", func(int) string { return "" }, 20_000, 290},
}

// liveHeap is how many bytes of the heap are in use.
func liveHeap() int64 {
	for range 2 { // what one finds dead, the next has swept
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDirectoryMemory: for the record and all that finds it and its entry.
func TestDirectoryMemory(t *testing.T) {
	for _, named := range naming {
		before := liveHeap()
		d := newDirectory("", everyVisibility)
		for i := range named.images {
			d.put(realistic(i, named.name(i)), nil)
		}
		each := float64(liveHeap()-before) / float64(named.images)
		t.Logf("%s: %.0f bytes for each of %d images", named.title, each, d.len())
		if each > named.bytes {
			t.Errorf("%s: more than %.0f", named.title, named.bytes)
		}
	}
}

// TestDirectoryKeepsNoOldRecords: what images were before their last change is forgotten.
func TestDirectoryKeepsNoOldRecords(t *testing.T) {
	const images, most = 2000, 250
	for _, named := range naming[:3] {
		before := liveHeap()
		d := newDirectory("", everyVisibility)
		for round := range 4 {
			for i := range images {
				img := realistic(i, named.name(i))
				img.Size += int64(round) // in place
				if round%2 == 0 {
					img.CreatedAt = img.CreatedAt.Add(time.Duration(round) * time.Second) // out and in
				}
				d.put(img, nil)
			}
		}
		for i := range images / 2 {
			d.remove(realistic(i, "").ID, nil)
		}
		each := float64(liveHeap()-before) / images
		t.Logf("%s: %.0f bytes for each of what were %d images", named.title, each, images)
		if each > most {
			t.Errorf("%s: more than %d", named.title, most)
		}
		if d.len() != images/2 {
			t.Errorf("%d images", d.len())
		}
	}
}

// TestPutUnchanged: a full pass brings every image, and nearly all of them are as before.
func TestPutUnchanged(t *testing.T) {
	const images = 1000
	d := newDirectory("", everyVisibility)
	all := make([]image.Image, images)
	for i := range all {
		all[i] = realistic(i, naming[1].name(i))
		d.put(all[i], nil)
	}
	was := map[string]*record{}
	for r := range d.all() {
		was[r.id()] = r
	}
	touched := map[string]bool{}
	allocations := testing.AllocsPerRun(5, func() {
		for _, img := range all {
			if r := d.get(img.ID); d.put(img, touched) || d.get(img.ID) != r || was[img.ID] != r {
				t.Fatal("an unchanged image is changed")
			}
		}
	})
	if len(touched) > 0 {
		t.Errorf("touched %v", touched)
	}
	if most := 3.0; allocations/images > most { // a packed record, to compare
		t.Errorf("%.1f allocations for each image", allocations/images)
	}
}

func BenchmarkPutUnchanged(b *testing.B) {
	const images = 100_000
	for _, named := range naming {
		d := newDirectory("", everyVisibility)
		all := make([]image.Image, images)
		for i := range all {
			all[i] = realistic(i, named.name(i))
			d.put(all[i], nil)
		}
		b.Run(named.title, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.put(all[i%images], nil)
			}
		})
	}
}

// TestSnapshotKeepsNoOldRecords: a listing that goes on sharing its runs does not hold
// what the records in them were.
func TestSnapshotKeepsNoOldRecords(t *testing.T) {
	const images, most = 5000, 60
	c := newCatalog(t, newService())
	if _, err := readAll(t.Context(), c.List); err != nil {
		t.Fatal(err)
	}
	round := func(n int) int64 {
		for i := range images {
			img := realistic(i, naming[0].name(i))
			img.Size += int64(n)
			c.Put(img)
		}
		if list, err := readAll(t.Context(), c.List); err != nil || len(list) != images {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		return liveHeap()
	}
	first := round(0)
	if more := float64(round(1)-first) / images; more > most {
		t.Errorf("%.0f bytes more for each image after a change of each", more)
	}
}
