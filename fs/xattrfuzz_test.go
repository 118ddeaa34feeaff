package fs

import (
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// FuzzXattr: whatever a program sets, it is refused for a reason, or makes a change that a
// record can have, after which the attribute reads so that setting that changes nothing.
func FuzzXattr(f *testing.F) {
	for _, name := range []string{"tags", "visibility", "disk_format", "min_disk", "protected", "hidden", "id", "property.color", "property.", "x", "property.imagefs_trash"} {
		for _, value := range []string{"", "a, b%2C", "private", "raw", "7", "-1", "true", "9999999999999999999", "\x00", "\xff", "%ff"} {
			f.Add(name, value)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		name = xattrPrefix + name
		change, kind, err := changeOf(name, &value, image.Image{})
		if err != nil {
			if kind == 0 || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("%q, kind %v", err, kind)
			}
			return
		}
		var set image.Settings
		shown := set.With(change).Over(image.Image{ID: "i"})
		text, err := xattr(shown, name)
		if err != nil {
			return // what removes the field again
		}
		again, _, err := changeOf(name, &text, image.Image{})
		if err != nil || !set.With(again).Shows(shown) {
			t.Errorf("%s=%q shows as %q, which is %v, %v", name, value, text, again, err)
		}
	})
}
