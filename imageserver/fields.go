package imageserver

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

const (
	// maxName is the most characters of a name, a tag, an owner or the name of a
	// property: the column of Glance's database.
	maxName = 255
	// maxValue is the most bytes of a property's value: a TEXT column.
	maxValue = 65535
	// maxInt is the largest min_disk and min_ram: an INTEGER column.
	maxInt = math.MaxInt32
)

var (
	diskFormats      = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
	containerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
	visibilities     = []string{"community", "public", "private", "shared"}

	// readOnly are the attributes that a caller can never set.
	readOnly = []string{
		"created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url",
		"self", "file", "schema", "id", "os_hash_algo", "os_hash_value",
	}
	// settable are the attributes that PATCH can replace and never remove.
	settable = []string{
		"name", "visibility", "protected", "os_hidden", "owner", "disk_format", "container_format",
		"min_disk", "min_ram", "tags",
	}
)

// validID reports whether text is a UUID as Glance spells its pattern. Only such
// text ever becomes part of a path.
func validID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// mismatch is the 400 for a value that the schema does not allow.
func mismatch(field, why string) *problem {
	return refuse(http.StatusBadRequest, "Provided object does not match schema 'image': %s: %s", field, why)
}

// set gives an attribute or a property its value, if the schema allows it. It
// knows nothing of status, owner or policy.
func (r *record) set(field string, value any) error {
	switch field {
	case "name":
		return setText(&r.Name, field, value)
	case "owner":
		return setText(&r.Owner, field, value)
	case "visibility":
		v, ok := value.(string)
		if !ok || !slices.Contains(visibilities, v) {
			return mismatch(field, "is not one of community, public, private, shared")
		}
		r.Visibility = image.Visibility(v)
	case "protected":
		return setBool(&r.Protected, field, value)
	case "os_hidden":
		return setBool(&r.Hidden, field, value)
	case "disk_format":
		return setFormat(&r.DiskFormat, field, value, diskFormats)
	case "container_format":
		return setFormat(&r.ContainerFormat, field, value, containerFormats)
	case "min_disk":
		return setInt(&r.MinDisk, field, value)
	case "min_ram":
		return setInt(&r.MinRAM, field, value)
	case "tags":
		return r.setTags(value)
	default:
		return r.setProperty(field, value)
	}
	return nil
}

func setText(to **string, field string, value any) error {
	if value == nil {
		*to = nil
		return nil
	}
	v, ok := value.(string)
	if !ok {
		return mismatch(field, "is not of type 'null', 'string'")
	}
	if err := checkText(field, v, maxName); err != nil {
		return err
	}
	*to = &v
	return nil
}

// checkText refuses what the database of a Glance cannot hold.
func checkText(field, v string, maxRunes int) error {
	if !utf8.ValidString(v) {
		return mismatch(field, "is not UTF-8")
	}
	if utf8.RuneCountInString(v) > maxRunes {
		return mismatch(field, "is too long")
	}
	for _, c := range v {
		if c > 0xFFFF {
			return refuse(http.StatusBadRequest, "%s can't contain 4 byte unicode characters.", capitalize(field))
		}
		if c == 0 { // the real one ends with 500 where its database is PostgreSQL
			return mismatch(field, "contains a NUL")
		}
	}
	return nil
}

func setBool(to *bool, field string, value any) error {
	v, ok := value.(bool)
	if !ok {
		return mismatch(field, "is not of type 'boolean'")
	}
	*to = v
	return nil
}

func setFormat(to **string, field string, value any, known []string) error {
	if value == nil {
		*to = nil
		return nil
	}
	v, ok := value.(string)
	if !ok || !slices.Contains(known, v) {
		return mismatch(field, "is not one of the formats that this service allows")
	}
	*to = &v
	return nil
}

func setInt(to *int64, field string, value any) error {
	number, ok := value.(json.Number)
	if !ok {
		return mismatch(field, "is not of type 'integer'")
	}
	v, err := strconv.ParseFloat(number.String(), 64)
	switch {
	case err != nil || v != math.Trunc(v):
		return mismatch(field, "is not of type 'integer'")
	case v < 0:
		return refuse(http.StatusBadRequest, "Invalid value '%s' for parameter '%s': Cannot be a negative value", number, field)
	case v > maxInt:
		return refuse(http.StatusBadRequest, "'%s' value out of range, must not exceed %d.", field, maxInt)
	}
	*to = int64(v)
	return nil
}

func (r *record) setTags(value any) error {
	list, ok := value.([]any)
	if !ok {
		return mismatch("tags", "is not of type 'array'")
	}
	tags := make([]string, 0, len(list))
	for _, item := range list {
		tag, ok := item.(string)
		if !ok {
			return mismatch("tags", "is not a list of strings")
		}
		if err := checkText("tags", tag, maxName); err != nil {
			return err
		}
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	r.Tags = slices.Compact(tags)
	return nil
}

func (r *record) setProperty(name string, value any) error {
	if err := checkText(name, name, maxName); err != nil {
		return refuse(http.StatusBadRequest, "Custom property should not be greater than %d characters.", maxName)
	}
	if r.Properties == nil {
		r.Properties = map[string]*string{}
	}
	reference := name == "kernel_id" || name == "ramdisk_id"
	if value == nil && reference {
		r.Properties[name] = nil
		return nil
	}
	v, ok := value.(string)
	switch {
	case !ok:
		return mismatch(name, "is not of type 'string'")
	case reference && !validID(v):
		return mismatch(name, "is not the id of an image")
	case name == "cinder_encryption_key_deletion_policy" && v != "on_image_deletion" && v != "do_not_delete":
		return mismatch(name, "is not one of on_image_deletion, do_not_delete")
	case len(v) > maxValue:
		return mismatch(name, "is too long")
	}
	if err := checkText(name, v, maxValue); err != nil {
		return err
	}
	r.Properties[name] = &v
	return nil
}
