package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// markdown is the generated part of the document: what was to be shown, and then
// each row.
func markdown(rows []row, all []stored) []byte {
	var b bytes.Buffer
	b.WriteString("\n| work | at least | measured | |\n|---|---|---|---|\n")
	for _, s := range all {
		r := s.result(find(rows, s.Row))
		for i, t := range r.row.targets {
			title := ""
			if i == 0 {
				title = fmt.Sprintf("[%s](#%s)", r.row.title, anchor(r.row.title))
			}
			figure, word := r.judge(t).words()
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", title, t.text, figure, word)
		}
	}
	for _, s := range all {
		section(&b, s, s.result(find(rows, s.Row)))
	}
	b.WriteString("\n")
	return b.Bytes()
}

func section(b *bytes.Buffer, s stored, r result) {
	turns := 0
	for _, c := range r.rows {
		turns = max(turns, len(c.runs))
	}
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", r.row.title, wrap(r.row.about))
	fmt.Fprintf(b, "| `-only %s` |", r.row.name)
	for _, m := range r.row.metrics {
		fmt.Fprintf(b, " %s |", m.title)
	}
	fmt.Fprintf(b, " from – to |\n|---|%s---|\n", strings.Repeat("---|", len(r.row.metrics)))
	for _, c := range r.rows {
		fmt.Fprintf(b, "| %s |", c.name)
		for _, m := range r.row.metrics {
			fmt.Fprintf(b, " %s |", c.figure(m))
		}
		fmt.Fprintf(b, " %s |\n", c.extent(r.row.metrics[0]))
	}
	fmt.Fprintf(b, "\n![%s](%s/%s.svg)\n\n", r.row.title, plots, r.row.name)
	for _, c := range r.rows {
		fmt.Fprintf(b, "- %s: %s\n", c.name, c.how)
	}
	fmt.Fprintf(b, "\nMedians of %d; %s; imagefs %s on %s.\n", turns, s.Date, s.Version, s.Machine)
}

// words are a figure and what became of its target.
func (v verdict) words() (figure, word string) {
	switch {
	case !v.measured:
		return "–", "not measured"
	case v.met:
		return v.text(), "met"
	default:
		return v.text(), "**missed**"
	}
}

// text is the figure, and where there are many turns between which two it is.
func (v verdict) text() string {
	text := fmt.Sprintf("%.3g", v.figure)
	if v.within != (span{}) {
		text += fmt.Sprintf(" (%.3g to %.3g)", v.within.least, v.within.most)
	}
	return text
}

// extent is the least and the greatest of a metric.
func (c contenderResult) extent(m metric) string {
	column := c.column(m)
	if len(column) == 0 {
		return "–"
	}
	return fmt.Sprintf(m.format+" – "+m.format, slices.Min(column), slices.Max(column))
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', r >= '0' && r <= '9', r >= 'a' && r <= 'z':
			return r
		default:
			return -1
		}
	}, strings.ToLower(heading))
}

// wrap breaks a paragraph into lines as wide as those of the other documents.
func wrap(paragraph string) string {
	const width = 118
	var b strings.Builder
	at := 0
	for _, word := range strings.Fields(paragraph) {
		switch {
		case at == 0:
		case at+1+len(word) > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}
