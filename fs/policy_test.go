package fs

import (
	"testing"

	"github.com/imagefs/imagefs/image"
)

func TestPolicy(t *testing.T) {
	const fine = image.Other // stands for no error
	ours := policy{project: "ours"}
	mine := image.Image{ID: "i", Owner: "ours", Status: image.StatusActive}
	with := func(f func(*image.Image)) image.Image {
		img := mine.Clone()
		f(&img)
		return img
	}
	property := func(name string) image.Image {
		return with(func(i *image.Image) { i.Properties = map[string]string{name: "x"} })
	}
	theirs := with(func(i *image.Image) { i.Owner = "others" })
	filling := with(func(i *image.Image) { i.Owner, i.Status = "others", image.StatusSaving })
	protected := with(func(i *image.Image) { i.Protected = true })
	for _, c := range []struct {
		name                    string
		p                       policy
		img                     image.Image
		change, retire, rewrite image.Kind
		writable                bool
	}{
		{"ours", ours, mine, fine, fine, fine, true},
		{"owner not told", ours, with(func(i *image.Image) { i.Owner = "" }), fine, fine, fine, true},
		{"project unknown", policy{}, theirs, fine, fine, fine, true},
		{"read-only", policy{project: "ours", readOnly: true}, mine, image.ReadOnly, image.ReadOnly, image.ReadOnly, true},
		{"read-only and theirs", policy{project: "ours", readOnly: true}, filling, image.ReadOnly, image.ReadOnly, image.ReadOnly, false},
		{"theirs", ours, theirs, image.Foreign, image.Foreign, image.Foreign, false},
		{"theirs, all may be written", policy{project: "ours", all: true}, theirs, fine, fine, fine, true},
		{"theirs, being filled", ours, filling, image.Foreign, image.Busy, image.Busy, false},
		{"theirs, being filled, all may be written", policy{project: "ours", all: true}, filling, fine, image.Busy, image.Busy, true},
		{"ours, being filled", ours, with(func(i *image.Image) { i.Status = image.StatusSaving }), fine, fine, fine, true},
		{"protected", ours, protected, fine, image.Protected, image.Protected, false},
		{"encrypted", ours, property("cinder_encryption_key_id"), fine, fine, image.NotPermitted, true},
		{"signed", ours, property("img_signature"), fine, fine, image.NotPermitted, true},
		{"signed by a certificate", ours, property("img_signature_certificate_uuid"), fine, fine, image.NotPermitted, true},
		{"a property", ours, property("os_distro"), fine, fine, fine, true},
	} {
		for op, got := range map[string]struct {
			err  error
			want image.Kind
		}{
			"change":  {c.p.change("op", c.img), c.change},
			"retire":  {c.p.retire("op", c.img), c.retire},
			"rewrite": {c.p.rewrite("op", c.img), c.rewrite},
		} {
			if got.want == fine && got.err != nil || got.want != fine && !image.Is(got.err, got.want) {
				t.Errorf("%s: %s: %v, want %v", c.name, op, got.err, got.want)
			}
		}
		if w := c.p.writable(image.Pack(c.img)); w != c.writable {
			t.Errorf("%s: writable %v", c.name, w)
		}
	}
}

func TestReadable(t *testing.T) {
	const fine = image.Other
	for status, want := range map[image.Status]image.Kind{
		image.StatusActive: fine, image.StatusQueued: fine, image.StatusDeactivated: fine,
		image.StatusSaving: image.NoData, image.StatusUploading: image.NoData, image.StatusImporting: image.NoData,
		image.StatusKilled: image.NotFound, image.StatusDeleted: image.NotFound, image.StatusPendingDelete: image.NotFound,
		"new in a later release": image.NotFound,
	} {
		err := readable("open", image.Image{ID: "i", Status: status, Size: 1})
		if want == fine && err != nil || want != fine && !image.Is(err, want) {
			t.Errorf("%s: %v, want %v", status, err, want)
		}
	}
	backed := image.Image{Status: image.StatusActive, Properties: map[string]string{"block_device_mapping": "[]"}}
	if err := readable("open", backed); !image.Is(err, image.Unsupported) {
		t.Errorf("a volume-backed snapshot: %v", err)
	}
}
