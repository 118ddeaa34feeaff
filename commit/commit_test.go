package commit

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

var ctxb = context.Background()

// qcow2 is the head of a qcow2 file of version 3 without a backing file.
func qcow2() []byte {
	p := make([]byte, 4096)
	copy(p, "QFI\xfb\x00\x00\x00\x03")
	p[23] = 16   // cluster bits
	p[30] = 1    // virtual size
	p[103] = 104 // header length
	return p
}

func TestNewFileBecomesImage(t *testing.T) {
	h := newHouse(t, newFake())
	set := time.Date(2020, 1, 2, 3, 4, 5, 678, time.UTC)
	content := pattern(300_000)
	d := h.draft(staging.Spec{Name: "disk.raw", Entry: "disk.raw"}, content)
	check(t, d.Update(func(r *staging.Record) { r.Attributes.ModTime = &set }))

	img, err := h.Commit(ctxb, d)
	check(t, err)

	if s := h.Stats(); s != (Stats{Published: 1, Sent: int64(len(content))}) {
		t.Errorf("%+v", s)
	}
	got := h.only()
	if diff := cmp.Diff(img, got); diff != "" {
		t.Errorf("Commit returned another record than the service has:\n%s", diff)
	}
	if !bytes.Equal(h.stored(img.ID), content) {
		t.Error("the bytes differ")
	}
	if img.ID != d.ID() || img.Hidden || img.Status != image.StatusActive || img.DiskFormat != "raw" || img.ContainerFormat != "bare" || img.Name != "disk.raw" || img.Visibility != image.VisibilityPrivate {
		t.Errorf("record %+v", img)
	}
	want := map[string]string{"from": "mount", image.PropertyAttributes: image.Attributes{ModTime: &set}.Encode(img.ID)}
	if diff := cmp.Diff(want, props(img)); diff != "" {
		t.Error(diff)
	}
	if d.Dirty() || d.Record().State != staging.StateCommitted {
		t.Errorf("draft: dirty %v, state %s", d.Dirty(), d.Record().State)
	}
	if diff := cmp.Diff([]committed{{d.ID(), "", img}}, h.names.told, cmp.AllowUnexported(committed{})); diff != "" {
		t.Error(diff)
	}
	if calls := strings.Join(h.service.calls, " "); calls != "create upload get update" {
		t.Errorf("requests: %s", calls)
	}
	again, err := h.Commit(ctxb, d)
	if err != nil || again.ID != "" || len(h.service.calls) != 4 {
		t.Errorf("a clean draft was committed again: %v %v", again, err)
	}
}

func TestFormatsOfNewFile(t *testing.T) {
	backed := qcow2()
	backed[15], backed[19] = 200, 8 // backing file name: offset, length
	for _, c := range []struct {
		name    string
		content []byte
		disk    string
		kind    image.Kind
	}{
		{"qcow2", qcow2(), "qcow2", 0},
		{"raw", pattern(5000), "raw", 0},
		{"backing file", backed, "", image.Rejected},
		{"gzip", []byte("\x1f\x8b\x08\x00 and so on, which is long enough"), "", image.Rejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, newFake())
			d := h.draft(staging.Spec{Name: "x"}, c.content)
			img, err := h.Commit(ctxb, d)
			if c.kind == 0 {
				check(t, err)
				if img.DiskFormat != c.disk {
					t.Errorf("disk_format %q, want %q", img.DiskFormat, c.disk)
				}
				return
			}
			if !image.Is(err, c.kind) || len(h.service.calls) != 0 {
				t.Errorf("error %v after requests %v", err, h.service.calls)
			}
			if r := d.Record(); r.State != staging.StateFailed || r.Reason == "" || !d.Dirty() {
				t.Errorf("draft %+v", r)
			}
		})
	}
}

// rich is an image with everything that can and cannot be carried over.
func rich() image.Image {
	id := "6f1c0000-0000-4000-8000-000000000001"
	mode, old := uint32(0o640), time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	return image.Image{
		ID: id, Name: "app.qcow2", DiskFormat: "qcow2", ContainerFormat: "bare", Visibility: image.VisibilityShared,
		MinDisk: 3, MinRAM: 512, Tags: []string{"a", "b"},
		Properties: map[string]string{
			"hw_disk_bus": "scsi", "os_glance_importing_to_stores": "", "owner_specified.openstack.md5": "x",
			"owner_specified.openstack.object": "images/app", "stores": "ceph", image.PropertyDraft: "",
			image.PropertyAttributes: image.Attributes{Mode: &mode, ModTime: &old}.Encode(id),
		},
	}
}

func TestOverwriteCarriesOver(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(rich(), []byte("old bytes"))
	h.service.members[old.ID] = []image.Member{{Project: "p1", Status: "accepted"}, {Project: "p2", Status: "pending"}}
	d := h.draft(over(old), pattern(5000))
	img, err := h.Commit(ctxb, d)
	check(t, err)

	got := h.only()
	if got.ID == old.ID || got.ID != img.ID || got.Name != old.Name || got.Visibility != old.Visibility || got.MinDisk != 3 || got.MinRAM != 512 || got.Hidden {
		t.Errorf("record %+v", got)
	}
	if got.DiskFormat != "raw" {
		t.Errorf("disk_format %s: truncated at open it is a new file", got.DiskFormat)
	}
	if diff := cmp.Diff(old.Tags, got.Tags); diff != "" {
		t.Error(diff)
	}
	mode, created := uint32(0o640), old.SuccessorTime()
	want := map[string]string{
		"hw_disk_bus": "scsi", "owner_specified.openstack.object": "images/app",
		image.PropertyAttributes: image.Attributes{Mode: &mode, Created: &created}.Encode(got.ID),
	}
	if diff := cmp.Diff(want, props(got)); diff != "" {
		t.Error(diff)
	}
	if !got.SortTime().Equal(old.SuccessorTime()) {
		t.Errorf("sort time %v, want %v", got.SortTime(), old.SuccessorTime())
	}
	if diff := cmp.Diff([]image.Member{{Project: "p1", Status: "pending"}, {Project: "p2", Status: "pending"}}, h.service.members[got.ID]); diff != "" {
		t.Error(diff)
	}
	if log := h.log.String(); !strings.Contains(log, "accept it again") || !strings.Contains(log, "p1") || !strings.Contains(log, "replaced="+old.ID) || !strings.Contains(log, "image="+got.ID) {
		t.Errorf("log: %s", log)
	}
	if h.names.told[0].retired != old.ID {
		t.Errorf("told %+v", h.names.told)
	}
}

// An edit that makes an image need another file is refused, as a new one is.
func TestEditThatNeedsAnotherFile(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "app.qcow2", DiskFormat: "qcow2", ContainerFormat: "bare"}, append(qcow2(), pattern(5000)...))
	d := h.draft(h.edit(old), nil)
	h.write(d, []byte{0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 8}, 8) // the place and length of a backing file's name
	if _, err := h.Commit(ctxb, d); !image.Is(err, image.Rejected) {
		t.Errorf("commit: %v, want it to be rejected", err)
	}
	if h.only().ID != old.ID {
		t.Error("the image was replaced")
	}
}

func TestEditKeepsFormats(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "guest.raw", DiskFormat: "raw", ContainerFormat: "ovf", Hidden: true}, pattern(600_000))
	d := h.draft(h.edit(old), qcow2()) // a guest wrote another format's header
	want := bytesOf(t, d)
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if img.DiskFormat != "raw" || img.ContainerFormat != "ovf" || !img.Hidden {
		t.Errorf("record %+v", img)
	}
	if !bytes.Equal(h.stored(h.only().ID), want) || len(want) != 600_000 {
		t.Error("the merged bytes differ")
	}
	h.write(d, []byte("more"), 599_998)
	next, err := h.Commit(ctxb, d)
	check(t, err)
	want = append(want[:599_998], "more"...)
	if next.ID == img.ID || h.only().ID != next.ID || !bytes.Equal(h.stored(next.ID), want) || next.DiskFormat != "raw" {
		t.Errorf("second commit: %+v", next)
	}
	if !next.SortTime().Equal(img.SuccessorTime()) {
		t.Error("the place among images of one name was lost on the way")
	}
}

func TestSecondCommitReplacesFirst(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.draft(staging.Spec{Name: "x"}, pattern(2000))
	first, err := h.Commit(ctxb, d)
	check(t, err)
	h.write(d, qcow2(), 0)
	second, err := h.Commit(ctxb, d)
	check(t, err)
	if second.ID == first.ID || h.only().ID != second.ID || second.DiskFormat != "qcow2" {
		t.Errorf("first %s, second %+v", first.ID, second)
	}
	h.write(d, []byte("third"), 5000)
	third, err := h.Commit(ctxb, d)
	check(t, err)
	if third.ID == second.ID || third.ID == first.ID || h.only().ID != third.ID {
		t.Errorf("third %s", third.ID)
	}
	if told := h.names.told; len(told) != 3 || told[1].retired != first.ID || told[2].retired != second.ID {
		t.Errorf("told %+v", told)
	}
}

// A new file that is renamed over an image while it is written becomes what an
// overwritten one becomes; what was set on it stays, and somebody who deletes the
// image meanwhile takes nothing of that away.
func TestDraftRenamedOver(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		h := newHouse(t, newFake())
		old := h.service.put(image.Image{
			Name: "y", Visibility: image.VisibilityShared, MinDisk: 3, Tags: []string{"gold"}, DiskFormat: "iso",
			Properties: map[string]string{"hw_disk_bus": "scsi", "img_type": "x"},
		}, []byte("old"))
		h.service.members[old.ID] = []image.Member{{Project: "p1", Status: "accepted"}}
		mode := uint32(0o600)
		d := h.draft(staging.Spec{Name: "x", Attributes: image.Attributes{Mode: &mode}}, pattern(100))
		check(t, d.Rename("y", "y", &old))
		if deleted {
			check(t, h.service.Delete(ctxb, old.ID))
		}
		_, err := h.Commit(ctxb, d)
		check(t, err)
		got := h.only()
		attributes := got.Attributes()
		if got.Name != "y" || got.Visibility != image.VisibilityShared || got.MinDisk != 3 || !slices.Equal(got.Tags, old.Tags) ||
			got.DiskFormat != "raw" || got.Properties["hw_disk_bus"] != "scsi" || attributes.Mode == nil || *attributes.Mode != mode {
			t.Errorf("deleted %v: it became %+v", deleted, got)
		}
		if members := h.service.members[got.ID]; len(members) != 1 && !deleted {
			t.Errorf("it is shared with %+v", members)
		}
	}
}

func TestRefusedBeforeAnyByte(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*image.Image)
		kind   image.Kind
	}{
		{"protected", func(i *image.Image) { i.Protected = true }, image.Protected},
		{"encrypted", func(i *image.Image) { i.Properties = map[string]string{"cinder_encryption_key_id": "k"} }, image.NotPermitted},
		{"signed", func(i *image.Image) { i.Properties = map[string]string{"img_signature_hash_method": "SHA-256"} }, image.NotPermitted},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, newFake())
			old := image.Image{Name: "x"}
			c.change(&old)
			old = h.service.put(old, []byte("old"))
			_, err := h.Commit(ctxb, h.draft(over(old), pattern(100)))
			if !image.Is(err, c.kind) || h.service.count("create") != 0 {
				t.Errorf("error %v, %d records created", err, h.service.count("create"))
			}
			if diff := cmp.Diff(old, h.only()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOtherProjectsImageStaysTheirs(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "x", Owner: "theirs"}, []byte("old"))
	_, err := h.Commit(ctxb, h.draft(over(old), pattern(100)))
	check(t, err)
	if got := h.only(); got.Owner != "theirs" {
		t.Errorf("the image went to project %s", got.Owner)
	}
}

func TestOtherAlgorithms(t *testing.T) {
	for _, algo := range []string{"sha256", "sha384", "sha1", "md5", "sha3_256", "whirlpool"} {
		t.Run(algo, func(t *testing.T) {
			f := newFake()
			f.algo = algo
			h := newHouse(t, f)
			_, err := h.Commit(ctxb, h.draft(staging.Spec{Name: "x"}, pattern(chunk+77)))
			check(t, err)
		})
	}
}

// TestNoHash: with no hash at all the size is compared, and the log says so.
func TestNoHash(t *testing.T) {
	for _, what := range []effect{before, short} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			if what == short {
				f.faults = always("upload", 2, 0, short)
			}
			f.mute = true
			h := newHouse(t, f)
			_, err := h.Commit(ctxb, h.draft(staging.Spec{Name: "x"}, pattern(500)))
			if what == short {
				if !image.Is(err, image.Corrupt) {
					t.Errorf("a truncated image was accepted: %v", err)
				}
				return
			}
			if check(t, err); !strings.Contains(h.log.String(), "names no hash") {
				t.Errorf("log: %s", h.log)
			}
		})
	}
}

// A file that is truncated to nothing through its handle, as qemu-img opens its target,
// has nothing of the old image any more: its format is what is written then.
func TestTruncatedToNothing(t *testing.T) {
	for _, c := range []struct {
		was, want string
		content   []byte
	}{{"raw", "qcow2", qcow2()}, {"qcow2", "raw", pattern(5000)}} {
		h := newHouse(t, newFake())
		old := h.service.put(image.Image{Name: "x", DiskFormat: c.was, ContainerFormat: "bare"}, pattern(3000))
		d := h.draft(h.edit(old), nil)
		check(t, d.Truncate(ctxb, 0))
		h.write(d, c.content, 0)
		for range 2 {
			img, err := h.Commit(ctxb, d)
			check(t, err)
			if img.DiskFormat != c.want || !bytes.Equal(h.stored(h.only().ID), bytesOf(t, d)) {
				t.Errorf("%+v", h.only())
			}
			h.write(d, []byte("x"), 2000)
		}
	}
}
