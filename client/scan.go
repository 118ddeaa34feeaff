package client

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// maxNesting is how deep values may lie in each other, as in encoding/json. Glance's
// lie four deep.
const maxNesting = 10000

// kind is what a JSON value is, as far as it matters here.
type kind byte

const (
	kindNone    kind = iota // there is no value
	kindNull                //
	kindTrue                //
	kindFalse               //
	kindNumber              //
	kindPlain               // a string whose bytes between the quotes are its text
	kindEscaped             // a string with escapes, or bytes that are not UTF-8
	kindArray               //
	kindObject              //
)

// value is where in a scanned text a value lies, with its quotes or brackets.
type value struct {
	from, to int
	kind     kind
}

// less is where the value lies in the text that begins at from.
func (v value) less(from int) value { return value{v.from - from, v.to - from, v.kind} }

// scanner reads one JSON text, forwards and once, and accepts what encoding/json
// accepts. It makes nothing of what it reads: a page of a listing has tens of
// thousands of values, most of which nobody wants.
type scanner struct {
	data  []byte
	at    int // of the next byte
	depth int // of arrays and objects that are open
}

func (s *scanner) fail(what string) error {
	if s.at >= len(s.data) {
		return fmt.Errorf("the text ends where %s should be", what)
	}
	return fmt.Errorf("%.20q at byte %d is not %s", s.data[s.at:min(s.at+20, len(s.data))], s.at, what)
}

// peek passes space and returns the byte behind it, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.data); s.at++ {
		if c := s.data[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// end makes sure that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.at < len(s.data) {
		return s.fail("the end")
	}
	return nil
}

// value passes the next value, whatever it is.
func (s *scanner) value() (value, error) {
	first := s.peek()
	v := value{from: s.at}
	var err error
	switch {
	case first == '"':
		v.kind, err = s.text()
	case first == '{':
		v.kind, err = kindObject, s.object(func(value) error { _, err := s.value(); return err })
	case first == '[':
		v.kind, err = kindArray, s.array(func() error { _, err := s.value(); return err })
	case first == '-' || '0' <= first && first <= '9':
		v.kind, err = kindNumber, s.number()
	case first == 't':
		v.kind, err = kindTrue, s.word("true")
	case first == 'f':
		v.kind, err = kindFalse, s.word("false")
	case first == 'n':
		v.kind, err = kindNull, s.word("null")
	default:
		err = s.fail("a value")
	}
	v.to = s.at
	return v, err
}

// object passes an object. member is called behind the colon of each and passes the
// value.
func (s *scanner) object(member func(key value) error) error {
	return s.list('{', '}', "an object", func() error {
		if s.peek() != '"' {
			return s.fail("a key")
		}
		key := value{from: s.at}
		var err error
		if key.kind, err = s.text(); err != nil {
			return err
		}
		key.to = s.at
		if s.peek() != ':' {
			return s.fail("a colon")
		}
		s.at++
		return member(key)
	})
}

// array passes an array; item is called for each and passes it.
func (s *scanner) array(item func() error) error { return s.list('[', ']', "an array", item) }

func (s *scanner) list(open, shut byte, what string, item func() error) error {
	if s.peek() != open {
		return s.fail(what)
	}
	if s.depth++; s.depth > maxNesting {
		return s.fail("shallow enough")
	}
	s.at++
	if s.peek() != shut {
		for {
			if err := item(); err != nil {
				return err
			}
			if s.peek() != ',' {
				break
			}
			s.at++
		}
		if s.peek() != shut {
			return s.fail("a comma or the end of " + what)
		}
	}
	s.at++
	s.depth--
	return nil
}

// text passes a string.
func (s *scanner) text() (kind, error) {
	from := s.at + 1
	escaped, ascii := false, true
	for i := from; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.at = i + 1
			if escaped || !ascii && !utf8.Valid(s.data[from:i]) {
				return kindEscaped, nil
			}
			return kindPlain, nil
		case c == '\\':
			n := escapeLen(s.data[i:])
			if n == 0 {
				s.at = i
				return kindNone, s.fail("an escape")
			}
			escaped = true
			i += n - 1
		case c < ' ':
			s.at = i
			return kindNone, s.fail("allowed in a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.at = len(s.data)
	return kindNone, s.fail("the end of a string")
}

// escapeLen is how many bytes the escape has that a text begins with, 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// number passes a number.
func (s *scanner) number() error {
	if s.data[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.data) && s.data[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return s.fail("a digit")
	}
	if s.at < len(s.data) && s.data[s.at] == '.' {
		if s.at++; !s.digits() {
			return s.fail("a digit")
		}
	}
	if s.at < len(s.data) && s.data[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.data) && (s.data[s.at] == '+' || s.data[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return s.fail("a digit")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

func (s *scanner) word(w string) error {
	if len(s.data)-s.at < len(w) || string(s.data[s.at:s.at+len(w)]) != w {
		return s.fail(w)
	}
	s.at += len(w)
	return nil
}

// unquote returns the text of a string that was scanned, as encoding/json does: what
// is not UTF-8 becomes U+FFFD. The result shares the memory of quoted where it can.
func unquote(quoted string, k kind) string {
	if k == kindPlain {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	// Scanned strings are strings.
	_ = json.Unmarshal([]byte(quoted), &text)
	return text
}
