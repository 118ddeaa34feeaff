package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// field says where a known key of a record goes. Keys that are not known are
// custom properties; links are left out, and so are locations, which can hold
// secrets of the store.
var fields = map[string]func(*image.Image, json.RawMessage) error{
	"id":               func(i *image.Image, v json.RawMessage) error { return text(v, &i.ID) },
	"name":             func(i *image.Image, v json.RawMessage) error { return text(v, &i.Name) },
	"status":           func(i *image.Image, v json.RawMessage) error { return text(v, &i.Status) },
	"visibility":       func(i *image.Image, v json.RawMessage) error { return text(v, &i.Visibility) },
	"owner":            func(i *image.Image, v json.RawMessage) error { return text(v, &i.Owner) },
	"disk_format":      func(i *image.Image, v json.RawMessage) error { return text(v, &i.DiskFormat) },
	"container_format": func(i *image.Image, v json.RawMessage) error { return text(v, &i.ContainerFormat) },
	"checksum":         func(i *image.Image, v json.RawMessage) error { return text(v, &i.Checksum) },
	"os_hash_algo":     func(i *image.Image, v json.RawMessage) error { return text(v, &i.HashAlgo) },
	"os_hash_value":    func(i *image.Image, v json.RawMessage) error { return text(v, &i.HashValue) },
	"size":             func(i *image.Image, v json.RawMessage) error { return count(v, &i.Size) },
	"virtual_size":     func(i *image.Image, v json.RawMessage) error { return count(v, &i.VirtualSize) },
	"min_disk":         func(i *image.Image, v json.RawMessage) error { return count(v, &i.MinDisk) },
	"min_ram":          func(i *image.Image, v json.RawMessage) error { return count(v, &i.MinRAM) },
	"protected":        func(i *image.Image, v json.RawMessage) error { return truth(v, &i.Protected) },
	"os_hidden":        func(i *image.Image, v json.RawMessage) error { return truth(v, &i.Hidden) },
	"created_at":       func(i *image.Image, v json.RawMessage) error { return moment(v, &i.CreatedAt) },
	"updated_at":       func(i *image.Image, v json.RawMessage) error { return moment(v, &i.UpdatedAt) },
	"tags":             func(i *image.Image, v json.RawMessage) error { return json.Unmarshal(v, &i.Tags) },
	"stores": func(i *image.Image, v json.RawMessage) error {
		var list string
		err := text(v, &list)
		for s := range strings.SplitSeq(list, ",") {
			if s != "" {
				i.Stores = append(i.Stores, s)
			}
		}
		return err
	},
	"self": ignore, "file": ignore, "schema": ignore, "locations": ignore, "direct_url": ignore,
}

// parseRecord reads one record. It refuses one without a UUID or a status, and
// one with a field of another type or a negative size.
func parseRecord(data []byte) (image.Image, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return image.Image{}, fmt.Errorf("record: %w", err)
	}
	var i image.Image
	for key, value := range raw {
		set, ok := fields[key]
		if !ok {
			if p, ok := property(value); ok {
				if i.Properties == nil {
					i.Properties = make(map[string]string)
				}
				i.Properties[key] = p
			}
			continue
		}
		if err := set(&i, value); err != nil {
			return image.Image{}, fmt.Errorf("record %.36q: field %s: %w", raw["id"], key, err)
		}
	}
	if !validID(i.ID) {
		return image.Image{}, fmt.Errorf("record: id %.50q is not a UUID", i.ID)
	}
	if i.Status == "" {
		return image.Image{}, fmt.Errorf("record %s: no status", i.ID)
	}
	return i, nil
}

// validID reports a UUID in its canonical form, which may go into a URL as it is.
// Upper case is let through: Glance keeps the case that a client chose.
func validID(id string) bool {
	_, err := uuid.Parse(id)
	return err == nil && len(id) == len(uuid.UUID{}.String())
}

func null(v json.RawMessage) bool { return string(v) == "null" }

func ignore(*image.Image, json.RawMessage) error { return nil }

func text[T ~string](v json.RawMessage, to *T) error { return json.Unmarshal(v, to) }

func truth(v json.RawMessage, to *bool) error { return json.Unmarshal(v, to) }

// count reads a whole number that is not negative; null is 0.
func count(v json.RawMessage, to *int64) error {
	if null(v) {
		return nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%.40q is not a whole number that is not negative", v)
	}
	*to = n
	return nil
}

// moment reads a time; the services write it with and without a zone, which is
// UTC. Null is the zero time.
func moment(v json.RawMessage, to *time.Time) error {
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return err
	}
	if s == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		if t, err = time.Parse("2006-01-02T15:04:05", s); err != nil {
			return fmt.Errorf("%.40q is not a time", s)
		}
	}
	*to = t.UTC().Truncate(time.Second)
	return nil
}

// property renders a custom property as text: strings as they are, anything else
// as its JSON. Null is no property.
func property(v json.RawMessage) (string, bool) {
	if null(v) {
		return "", false
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s, true
	}
	var compact bytes.Buffer
	if json.Compact(&compact, v) != nil {
		return "", false
	}
	return compact.String(), true
}

// page is one page of a listing.
type page struct {
	Images *[]json.RawMessage `json:"images"`
	Next   string             `json:"next"`
}

func parsePage(data []byte) (page, error) {
	var p page
	if err := json.Unmarshal(data, &p); err != nil {
		return page{}, fmt.Errorf("page: %w", err)
	}
	if p.Images == nil {
		return page{}, fmt.Errorf("page: no images")
	}
	return p, nil
}
