package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// listedPrinter prints what entries stand for. It may hold lines back until the next
// pause, or the end.
type listedPrinter interface {
	print(l listed) error
	pause() error
	end() error
}

// outlet is a printer that remembers what it failed with: that says nothing of who was
// asked for the entries, and is told once.
type outlet struct {
	listedPrinter
	failed error // a *failure
}

func (o *outlet) print(l listed) error { return o.keep(o.listedPrinter.print(l)) }
func (o *outlet) pause() error         { return o.keep(o.listedPrinter.pause()) }
func (o *outlet) end() error           { return o.keep(o.listedPrinter.end()) }

func (o *outlet) keep(err error) error {
	if err != nil && o.failed == nil {
		o.failed = fail(exitInternal, "%w", err)
	}
	return o.failed
}

// finish prints what was held back, and returns what a listing that ended with err has
// come to.
func (o *outlet) finish(err error) error {
	if o.failed != nil { // it has ended the listing
		return o.failed
	}
	return errors.Join(err, o.end())
}

// entryLines prints ids and entries.
type entryLines struct{ out *bufio.Writer }

func newEntryLines(w io.Writer) *entryLines { return &entryLines{bufio.NewWriter(w)} }

func (p *entryLines) print(l listed) error {
	_, err := fmt.Fprintf(p.out, "%-36s  %s\n", cell(l.ID), plain(l.Entry))
	return err
}

func (p *entryLines) pause() error { return p.out.Flush() }
func (p *entryLines) end() error   { return p.out.Flush() }

// tableRows is how many rows of a table are looked at before they are printed, so that
// their columns are as wide as they have to be, and no wider.
const tableRows = 500

// entryTable prints a table. What comes after the first rows makes columns wider only
// from there on, so that the first of very many lines does not wait for the last.
type entryTable struct {
	out    *bufio.Writer
	rows   [][]string
	widths []int // characters
	begun  bool  // rows have been written
}

func newEntryTable(w io.Writer) *entryTable {
	t := &entryTable{out: bufio.NewWriter(w), widths: make([]int, len(columns()))}
	var header []string
	for _, c := range columns() {
		header = append(header, c.title)
	}
	t.rows = append(t.rows, header)
	return t
}

// column is one column of the table. The last one is not padded.
type column struct {
	title string
	right bool // aligned
	text  func(l listed) string
}

func columns() []column {
	return []column{
		{"ID", false, func(l listed) string { return cell(l.ID) }},
		{"STATUS", false, func(l listed) string {
			if l.Draft != nil {
				return "draft"
			}
			return cell(l.Status)
		}},
		{"VISIBILITY", false, func(l listed) string { return cell(l.Visibility) }},
		{"FORMAT", false, func(l listed) string { return cell(l.DiskFormat) }},
		{"SIZE", true, func(l listed) string { return size(l.Size) }},
		{"VIRTUAL", true, func(l listed) string { return size(l.VirtualSize) }},
		{"CACHED", true, func(l listed) string { return share(l.Cached, l.Size) }},
		{"OWNER", false, func(l listed) string { return cell(l.Owner) }},
		{"TAGS", false, func(l listed) string { return orDash(plain(strings.Join(l.Tags, ","))) }},
		{"ENTRY", false, func(l listed) string { return plain(l.Entry) }},
	}
}

func (t *entryTable) print(l listed) error {
	row := make([]string, 0, len(t.widths))
	for _, c := range columns() {
		row = append(row, c.text(l))
	}
	if t.rows = append(t.rows, row); len(t.rows) >= tableRows {
		return t.write()
	}
	return nil
}

// pause keeps the header back as long as nothing says how wide its columns are.
func (t *entryTable) pause() error {
	if !t.begun && len(t.rows) == 1 {
		return nil
	}
	return t.end()
}

func (t *entryTable) end() error {
	if err := t.write(); err != nil {
		return err
	}
	return t.out.Flush()
}

func (t *entryTable) write() error {
	for _, row := range t.rows {
		for i, text := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(text))
		}
	}
	last := len(t.widths) - 1
	for _, row := range t.rows {
		for i, c := range columns() {
			width := t.widths[i]
			switch {
			case i == last:
				width = 0
			case !c.right:
				width = -width
			}
			end := "  "
			if i == last {
				end = "\n"
			}
			if _, err := fmt.Fprintf(t.out, "%*s%s", width, row[i], end); err != nil {
				return err
			}
		}
	}
	t.rows, t.begun = t.rows[:0], true
	return nil
}

// cell is a text of the service as a table shows it.
func cell(p *string) string { return orDash(plain(valueOf(p))) }

func orDash(text string) string { return orElse(text, "-") }

// plain replaces what a terminal would obey: the service may send anything.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

func size(bytes *int64) string {
	if bytes == nil {
		return "-"
	}
	return humanize.IBytes(uint64(*bytes))
}

// share is a part of a whole in whole percent: 0 and 100 are all or nothing.
func share(part, whole *int64) string {
	switch {
	case part == nil, whole == nil, *whole == 0:
		return "-"
	case *part == 0:
		return "0%"
	case *part >= *whole:
		return "100%"
	}
	return fmt.Sprintf("%.0f%%", min(99, max(1, 100*float64(*part)/float64(*whole))))
}
