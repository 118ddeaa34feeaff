package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
)

// The reading of records that came before scanner, kept to be compared with: it is
// slower, and leaves what JSON is to encoding/json.

// slowFields says where a known key of a record goes. Keys that are not known are
// custom properties; links are left out, and so are locations, which can hold
// secrets of the store.
var slowFields = map[string]func(*image.Image, json.RawMessage) error{
	"id":               func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.ID) },
	"name":             func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.Name) },
	"status":           func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.Status) },
	"visibility":       func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.Visibility) },
	"owner":            func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.Owner) },
	"disk_format":      func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.DiskFormat) },
	"container_format": func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.ContainerFormat) },
	"checksum":         func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.Checksum) },
	"os_hash_algo":     func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.HashAlgo) },
	"os_hash_value":    func(i *image.Image, v json.RawMessage) error { return slowText(v, &i.HashValue) },
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
		err := slowText(v, &list)
		for s := range strings.SplitSeq(list, ",") {
			if s != "" {
				i.Stores = append(i.Stores, s)
			}
		}
		return err
	},
	"self": ignore, "file": ignore, "schema": ignore, "locations": ignore, "direct_url": ignore,
}

// slowRecord reads one record. It refuses one without a UUID or a status, and
// one with a field of another type or a negative size.
func slowRecord(data []byte) (image.Image, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return image.Image{}, fmt.Errorf("record: %w", err)
	}
	var i image.Image
	for key, value := range raw {
		set, ok := slowFields[key]
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
	if _, err := uuid.Parse(i.ID); err != nil || len(i.ID) != 36 {
		return image.Image{}, fmt.Errorf("record: id %.50q is not a UUID", i.ID)
	}
	if i.Status == "" {
		return image.Image{}, fmt.Errorf("record %s: no status", i.ID)
	}
	return i, nil
}

func null(v json.RawMessage) bool { return string(v) == "null" }

func ignore(*image.Image, json.RawMessage) error { return nil }

func slowText[T ~string](v json.RawMessage, to *T) error { return json.Unmarshal(v, to) }

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

// slowPage reads a page.
func slowPage(data []byte) (records []json.RawMessage, next string, err error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(top["images"], &records); err != nil {
		return nil, "", err
	}
	if records == nil {
		return nil, "", errors.New("no images")
	}
	if link, ok := top["next"]; ok {
		err = json.Unmarshal(link, &next)
	}
	return records, next, err
}
