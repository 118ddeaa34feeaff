package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// jsonLines prints one object a line.
type jsonLines struct{ out *bufio.Writer }

func newJSONLines(w io.Writer) *jsonLines { return &jsonLines{bufio.NewWriter(w)} }

func (p *jsonLines) print(l listed) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = p.out.Write(append(inert(text), '\n'))
	return err
}

func (p *jsonLines) pause() error { return p.out.Flush() }
func (p *jsonLines) end() error   { return p.out.Flush() }

// writeJSONLines prints one object a line.
func writeJSONLines[T any](w io.Writer, all []T) error {
	for _, one := range all {
		text, err := json.Marshal(one)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(inert(text), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON prints one object over several lines.
func writeJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(inert(text), '\n'))
	return err
}

// inert escapes the control characters that JSON may have as they are, and a terminal
// would obey: DEL and C1. They can be in its strings only.
func inert(text []byte) []byte {
	if !bytes.ContainsFunc(text, isUpperControl) {
		return text
	}
	var out []byte
	for len(text) > 0 {
		r, width := utf8.DecodeRune(text)
		if isUpperControl(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, text[:width]...)
		}
		text = text[width:]
	}
	return out
}

func isUpperControl(r rune) bool { return r >= 0x7f && r <= 0x9f }
