package main

import (
	"bytes"
	"fmt"
	"html"
	"slices"
)

// The plot's measures, in pixels.
const (
	barHeight = 22
	barGap    = 8
	nameWidth = 300
	barWidth  = 380
	margin    = 10
	textWidth = 80
)

// plot draws the first metric of a row as bars, the median of each contender with
// a line from the least to the greatest. Colours are readable on white and black.
func plot(r result) []byte {
	m := r.row.metrics[0]
	longest := 0.0
	for _, c := range r.rows {
		if column := c.column(m); len(column) > 0 {
			longest = max(longest, slices.Max(column))
		}
	}
	var b bytes.Buffer
	width, height := nameWidth+barWidth+textWidth+3*margin, 40+len(r.rows)*(barHeight+barGap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" fill="#777">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<text x="%d" y="20" font-weight="bold">%s, %s</text>`+"\n", margin, html.EscapeString(r.row.title), m.title)
	y := 40
	for _, c := range r.rows {
		column := c.column(m)
		if len(column) == 0 || longest == 0 {
			continue
		}
		x := func(figure float64) int { return nameWidth + margin + int(figure/longest*barWidth) }
		colour := "#9ab"
		if c.name == imagefs || len(c.name) > len(imagefs) && c.name[:len(imagefs)] == imagefs {
			colour = "#2a7"
		}
		middle := y + barHeight/2
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", nameWidth, middle+5, html.EscapeString(c.name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x(0), y, max(1, x(median(column))-x(0)), barHeight, colour)
		fmt.Fprintf(&b, `<path d="M%d %dH%d" stroke="#777" stroke-width="2"/>`+"\n", x(slices.Min(column)), middle, x(slices.Max(column)))
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", x(slices.Max(column))+margin/2, middle+5, c.figure(m))
		y += barHeight + barGap
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
