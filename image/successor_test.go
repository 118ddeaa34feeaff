package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplaceable(t *testing.T) {
	with := func(properties ...string) Image {
		i := Image{ID: "i", Size: 1, Properties: map[string]string{}}
		for _, p := range properties {
			name, value, _ := strings.Cut(p, "=")
			i.Properties[name] = value
		}
		return i
	}
	for name, c := range map[string]struct {
		img  Image
		kind Kind // Other: it may be replaced
	}{
		"plain":              {Image{ID: "i"}, Other},
		"protected":          {Image{ID: "i", Protected: true}, Protected},
		"volume-backed":      {Image{ID: "i", Properties: map[string]string{"block_device_mapping": "[]"}}, Unsupported},
		"instance snapshot":  {with("block_device_mapping=[]"), Other},
		"encrypted":          {with("cinder_encryption_key_id=k"), NotPermitted},
		"no longer":          {with("cinder_encryption_key_id="), Other},
		"key's policy alone": {with("cinder_encryption_key_deletion_policy=do_not_delete"), Other},
		"signed":             {with("img_signature=x"), NotPermitted},
		"signed somehow":     {with("img_signature_key_type=RSA-PSS"), NotPermitted},
	} {
		err := c.img.Replaceable("overwrite")
		if (err == nil) != (c.kind == Other) || err != nil && (!Is(err, c.kind) || !strings.HasPrefix(err.Error(), "overwrite image i: ")) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

func TestCarriedProperties(t *testing.T) {
	kept := map[string]string{
		"os_distro": "debian", "hw_disk_bus": "scsi", "empty": "", "imagefs": "x", "owner_specified.openstack.object": "images/x",
		"cinder_encryption_key_deletion_policy": "on_image_deletion",
	}
	img := Image{Properties: map[string]string{
		"os_glance_failed_import": "x", "img_signature": "x", "img_signature_uuid": "x", "cinder_encryption_key_id": "k",
		"owner_specified.openstack.md5": "x", "owner_specified.openstack.sha256": "x", "stores": "x", "direct_url": "x",
		PropertyDraft: "x", PropertyAttributes: "x", PropertyTrash: "x",
	}}
	for name, value := range kept {
		img.Properties[name] = value
	}
	if diff := cmp.Diff(kept, img.CarriedProperties()); diff != "" {
		t.Error(diff)
	}
	if got := (Image{}).CarriedProperties(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestAsideName(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "~replaced-01234567",
		"x":                      "x~replaced-01234567",
		strings.Repeat("中", 255): strings.Repeat("中", 237) + "~replaced-01234567",
	} {
		if got := (Image{ID: "0123456789ab", Name: name}).AsideName(); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}
