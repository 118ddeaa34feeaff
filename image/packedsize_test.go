package image

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// realistic is an image as build pipelines publish them.
func realistic(i int) Image {
	checksum, hash := md5.Sum(fmt.Append(nil, i)), sha512.Sum512(fmt.Append(nil, i))
	created := time.Unix(1_700_000_000+int64(i)*60, 0).UTC()
	return Image{
		ID:   fmt.Sprintf("%x-%x-%x-%x-%x", hash[:4], hash[4:6], hash[6:8], hash[8:10], hash[10:16]),
		Name: fmt.Sprintf("ubuntu-24.04-server-%04d-%04d", i/1000, i%1000), Status: StatusActive, Visibility: VisibilityPrivate,
		Owner: "6f1ed002ab5595859014ebf0951522d9", DiskFormat: "qcow2", ContainerFormat: "bare", Size: int64(hash[0])<<24 + 1<<28, MinDisk: 10,
		Checksum: hex.EncodeToString(checksum[:]), HashAlgo: "sha512", HashValue: hex.EncodeToString(hash[:]), Tags: []string{},
		CreatedAt: created, UpdatedAt: created.Add(40 * time.Second),
		Properties: map[string]string{
			"build_pipeline_number": fmt.Sprintf("nightly-images-%07d", i), "os_distribution_name": "ubuntu 24.04 noble #",
			"git_revision_of_build": hex.EncodeToString(hash[20:30]),
		},
	}
}

// heapOf returns how many bytes of live heap what make returns takes.
func heapOf[T any](make func() T) (T, int64) {
	var before, after runtime.MemStats
	live := func(m *runtime.MemStats) {
		for range 2 { // what one finds dead, the next has swept
			runtime.GC()
		}
		runtime.ReadMemStats(m)
	}
	live(&before)
	made := make()
	live(&after)
	return made, int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestPackedSize: a record takes 240 bytes: 208 of text, and 32 for what holds it.
func TestPackedSize(t *testing.T) {
	const images, most = 20_000, 248
	all, bytes := heapOf(func() []Packed {
		all := make([]Packed, images)
		for i := range all {
			all[i] = Pack(realistic(i))
		}
		return all
	})
	each := float64(bytes) / images
	t.Logf("%.0f bytes for each of %d records, beside the 8 of a slice's place", each-8, len(all))
	if each-8 > most {
		t.Errorf("more than %d", most)
	}
}

func BenchmarkPacked(b *testing.B) {
	img := realistic(0)
	p := Pack(img)
	touched := realistic(0)
	touched.Properties[PropertyAttributes] = Attributes{ModTime: ptr(time.Unix(1, 2).UTC())}.Encode(touched.ID)
	set := Pack(touched)
	for what, f := range map[string]func(){
		"pack": func() { Pack(img) }, "pack what was touched": func() { Pack(touched) }, "unpack": func() { p.Unpack() },
		"id": func() { p.ID() }, "uuid": func() { p.UUID() }, "name": func() { p.Name() }, "size": func() { p.Size() }, "status": func() { p.Status() },
		"updated": func() { p.UpdatedAt() }, "attributes": func() { p.Attributes() }, "attributes that are set": func() { set.Attributes() },
		"equal": func() { p.Equal(set) }, "property": func() { p.Property("os_distribution_name") }, "volume-backed": func() { p.VolumeBacked() },
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
