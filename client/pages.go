package client

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"

	"github.com/imagefs/imagefs/image"
)

const (
	// pageSize is the most that Glance gives; it cuts more silently.
	pageSize = 1000
	// maxPageRecords bounds what a page makes us hold where a service does not
	// keep to the limit: ten times what was asked for.
	maxPageRecords = 10 * pageSize
	// pageTail is where behind the records the link to the next page is looked for:
	// it has some hundred bytes, with a long name in the filter some thousand.
	pageTail = 16 << 10
	// maxMarker is the longest marker that is followed. It is an image's id, which
	// old services let a client choose freely, up to this many bytes.
	maxMarker = 255
)

var errTwoLists = errors.New("two lists of images")

// scannedPage is what one page of a listing has beside its records.
type scannedPage struct {
	next string // the link to the next page; "" on the last one
}

// parsePage reads a page and hands its records over in their order: an image and its
// id, or why a record is not understood. Of a page that turns out to be none some may
// have been handed over.
func parsePage(data []byte, record func(image.Image, image.UUID, error)) (scannedPage, error) {
	s := scanner{data: data}
	var (
		p     scannedPage
		r     scannedRecord
		count = -1 // of records; -1 before there is a list of them
	)
	one := func() error {
		if count++; count > maxPageRecords {
			return fmt.Errorf("more than %d records", maxPageRecords)
		}
		if s.peek() != '{' {
			v, err := s.value()
			if err == nil {
				record(image.Image{}, image.UUID{}, fmt.Errorf("%w: %.40q is not an object", image.ErrUnreadable, data[v.from:v.to]))
			}
			return err
		}
		if err := r.scan(&s); err != nil {
			return err
		}
		record(r.image())
		return nil
	}
	err := s.object(func(key value) error {
		switch unquote(string(data[key.from:key.to]), key.kind) {
		case "images":
			if count >= 0 {
				return errTwoLists
			}
			count = 0
			return s.array(one)
		case "next":
			v, err := s.value()
			switch {
			case err != nil:
				return err
			case v.kind == kindNull:
				p.next = ""
			case v.kind == kindPlain || v.kind == kindEscaped:
				p.next = unquote(string(data[v.from:v.to]), v.kind)
			default:
				return fmt.Errorf("next is %.40q", data[v.from:v.to])
			}
			return nil
		default:
			_, err := s.value()
			return err
		}
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && count < 0 {
		err = fmt.Errorf("no images")
	}
	if err != nil {
		return scannedPage{}, fmt.Errorf("page: %w", err)
	}
	return p, nil
}

// marker returns the marker in a page's link to the next one. Only that counts of
// the link: behind a proxy Glance does not know its own path, the token must go
// nowhere else, and of several tags in the query Glance's link has only the last.
func marker(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", err
	}
	m := u.Query().Get("marker")
	if m == "" || len(m) > maxMarker {
		return "", fmt.Errorf("it leads back to %s", oneLine(link))
	}
	return m, nil
}

// guessMarker finds the marker of the next page without reading this one: the link
// is at the end of the page, behind the records. It may be wrong, where a property
// looks like a link, and "" where there is one.
func guessMarker(page []byte) string {
	key := []byte(`"next"`)
	tail := page[max(0, len(page)-pageTail):]
	at := bytes.LastIndex(tail, key)
	if at < 0 {
		return ""
	}
	s := scanner{data: tail, at: at + len(key)}
	if s.peek() != ':' {
		return ""
	}
	s.at++
	v, err := s.value()
	if err != nil || v.kind != kindPlain && v.kind != kindEscaped {
		return ""
	}
	m, err := marker(unquote(string(tail[v.from:v.to]), v.kind))
	if err != nil {
		return ""
	}
	return m
}
