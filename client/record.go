package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/imagefs/imagefs/image"
)

// maxMembers bounds the properties, the tags and the stores of a record each, whose
// memory is many times that of a short text. Glance allows 128 unless told otherwise.
const maxMembers = 4096

// scannedRecord is one record's text and where in it its members are. It is used for
// one record after the other.
type scannedRecord struct {
	text       string
	known      [fieldCount]value // where a key comes twice, the last one counts
	tags       []value           // the items where the field is an array
	properties []member
	crowded    bool // there are more tags or properties than maxMembers, which are not here
}

// member is a custom property as it was scanned.
type member struct{ key, value value }

// parseRecord reads one record. It refuses one without a UUID or a status, and
// one with a field of another type or a negative size.
func parseRecord(data []byte) (image.Image, error) {
	s := scanner{data: data}
	var r scannedRecord
	err := r.scan(&s)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return image.Image{}, fmt.Errorf("record: %w", err)
	}
	img, _, err := r.image()
	return img, err
}

// scan passes a record and keeps a copy of its text: whoever keeps a string of an
// image keeps one record, not a page.
func (r *scannedRecord) scan(s *scanner) error {
	s.peek()
	from := s.at
	r.known, r.properties, r.crowded = [fieldCount]value{}, r.properties[:0], false
	err := s.object(func(key value) error {
		f, known := fields[string(s.data[key.from+1:key.to-1])] // not copied to be looked up
		if key.kind == kindEscaped {
			f, known = fields[unquote(string(s.data[key.from:key.to]), key.kind)]
		}
		var v value
		var err error
		if known && f == fieldTags {
			v, err = r.scanTags(s, from)
		} else {
			v, err = s.value()
		}
		v = v.less(from)
		if known {
			r.known[f] = v
			return err
		}
		if len(r.properties) == maxMembers {
			r.crowded = true
			return err
		}
		r.properties = append(r.properties, member{key.less(from), v})
		return err
	})
	if err == nil {
		r.text = string(s.data[from:s.at])
	}
	return err
}

// scanTags passes the value of tags, whatever it is.
func (r *scannedRecord) scanTags(s *scanner, from int) (value, error) {
	r.tags = r.tags[:0]
	if s.peek() != '[' {
		return s.value()
	}
	v := value{from: s.at, kind: kindArray}
	err := s.array(func() error {
		tag, err := s.value()
		if len(r.tags) == maxMembers {
			r.crowded = true
			return err
		}
		r.tags = append(r.tags, tag.less(from))
		return err
	})
	v.to = s.at
	return v, err
}

// image makes an image of what was scanned.
func (r *scannedRecord) image() (image.Image, image.UUID, error) {
	img, id, err := r.made()
	if err != nil {
		err = fmt.Errorf("%w: %w", image.ErrUnreadable, err)
	}
	return img, id, err
}

// made is image, with what is wrong of the record alone.
func (r *scannedRecord) made() (image.Image, image.UUID, error) {
	var i image.Image
	for f, v := range r.known {
		if v.kind == kindNone {
			continue
		}
		if err := r.set(&i, field(f), v); err != nil {
			return image.Image{}, image.UUID{}, fmt.Errorf("record %.50q: field %s: %w", r.raw(r.known[fieldID]), fieldNames[f], err)
		}
	}
	id, ok := image.ParseUUID(i.ID)
	if !ok {
		return image.Image{}, image.UUID{}, fmt.Errorf("record: id %.50q is not a UUID", i.ID)
	}
	if i.Status == "" {
		return image.Image{}, image.UUID{}, fmt.Errorf("record %s: no status", i.ID)
	}
	if r.crowded {
		return image.Image{}, image.UUID{}, fmt.Errorf("record %s: more than %d properties or tags", i.ID, maxMembers)
	}
	for _, p := range r.properties {
		r.setProperty(&i, p)
	}
	if len(i.Properties) == 0 {
		i.Properties = nil
	}
	return i, id, nil
}

// set puts one field into the image.
func (r *scannedRecord) set(i *image.Image, f field, v value) error {
	switch f {
	case fieldID:
		return setText(r, v, &i.ID)
	case fieldName:
		return setText(r, v, &i.Name)
	case fieldStatus:
		return setText(r, v, &i.Status)
	case fieldVisibility:
		return setText(r, v, &i.Visibility)
	case fieldOwner:
		return setText(r, v, &i.Owner)
	case fieldDiskFormat:
		return setText(r, v, &i.DiskFormat)
	case fieldContainerFormat:
		return setText(r, v, &i.ContainerFormat)
	case fieldChecksum:
		return setText(r, v, &i.Checksum)
	case fieldHashAlgo:
		return setText(r, v, &i.HashAlgo)
	case fieldHashValue:
		return setText(r, v, &i.HashValue)
	case fieldSize:
		return r.setCount(v, &i.Size)
	case fieldVirtualSize:
		return r.setCount(v, &i.VirtualSize)
	case fieldMinDisk:
		return r.setCount(v, &i.MinDisk)
	case fieldMinRAM:
		return r.setCount(v, &i.MinRAM)
	case fieldProtected:
		return r.setTruth(v, &i.Protected)
	case fieldHidden:
		return r.setTruth(v, &i.Hidden)
	case fieldCreatedAt:
		return r.setMoment(v, &i.CreatedAt)
	case fieldUpdatedAt:
		return r.setMoment(v, &i.UpdatedAt)
	case fieldTags:
		return r.setTags(v, &i.Tags)
	case fieldStores:
		return r.setStores(v, &i.Stores)
	}
	return nil
}

// raw is the JSON of a value.
func (r *scannedRecord) raw(v value) string { return r.text[v.from:v.to] }

// wrong is the error for a value that is not what its field has.
func (r *scannedRecord) wrong(v value, what string) error {
	return fmt.Errorf("%.40q is not %s", r.raw(v), what)
}

// setText reads a string; null is "".
func setText[T ~string](r *scannedRecord, v value, to *T) error {
	switch v.kind {
	case kindPlain, kindEscaped:
		*to = T(unquote(r.raw(v), v.kind))
	case kindNull:
	default:
		return r.wrong(v, "a string")
	}
	return nil
}

// setTruth reads a boolean; null is false.
func (r *scannedRecord) setTruth(v value, to *bool) error {
	switch v.kind {
	case kindTrue:
		*to = true
	case kindFalse, kindNull:
	default:
		return r.wrong(v, "a boolean")
	}
	return nil
}

// setCount reads a whole number that is not negative; null is 0.
func (r *scannedRecord) setCount(v value, to *int64) error {
	if v.kind == kindNull {
		return nil
	}
	n, err := strconv.ParseInt(r.raw(v), 10, 64)
	if err != nil || n < 0 {
		return r.wrong(v, "a whole number that is not negative")
	}
	*to = n
	return nil
}

// setMoment reads a time; the services write it with and without a zone, which is
// UTC. Null is the zero time.
func (r *scannedRecord) setMoment(v value, to *time.Time) error {
	var text string
	if err := setText(r, v, &text); err != nil || text == "" {
		return err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if t, err = time.Parse("2006-01-02T15:04:05", text); err != nil {
			return r.wrong(v, "a time")
		}
	}
	*to = t.UTC().Truncate(time.Second)
	return nil
}

// setTags reads a list of strings; null is none.
func (r *scannedRecord) setTags(v value, to *[]string) error {
	switch v.kind {
	case kindArray:
		*to = make([]string, len(r.tags))
		for n, tag := range r.tags {
			if err := setText(r, tag, &(*to)[n]); err != nil {
				return err
			}
		}
	case kindNull:
	default:
		return r.wrong(v, "a list")
	}
	return nil
}

// setStores reads names with commas between them.
func (r *scannedRecord) setStores(v value, to *[]string) error {
	var list string
	if err := setText(r, v, &list); err != nil {
		return err
	}
	for s := range strings.SplitSeq(list, ",") {
		if s == "" {
			continue
		}
		if len(*to) == maxMembers {
			return fmt.Errorf("more than %d stores", maxMembers)
		}
		*to = append(*to, s)
	}
	return nil
}

// setProperty renders a custom property as text: strings as they are, anything else
// as its JSON. Null is no property.
func (r *scannedRecord) setProperty(i *image.Image, p member) {
	key := unquote(r.raw(p.key), p.key.kind)
	text := r.raw(p.value)
	switch p.value.kind {
	case kindNull:
		delete(i.Properties, key)
		return
	case kindPlain, kindEscaped:
		text = unquote(text, p.value.kind)
	case kindArray, kindObject:
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(text)) // it was scanned
		text = compact.String()
	}
	if i.Properties == nil {
		i.Properties = make(map[string]string, len(r.properties))
	}
	i.Properties[key] = text
}

// validID reports a UUID in its usual form, which may go into a URL as it is.
func validID(id string) bool {
	_, ok := image.ParseUUID(id)
	return ok
}
