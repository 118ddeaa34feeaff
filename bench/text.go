package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// text is the result for a terminal.
func (r result) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s", r.row.name)
	for _, m := range r.row.metrics {
		fmt.Fprintf(w, "\t%s", m.title)
	}
	fmt.Fprintln(w)
	for _, c := range r.rows {
		fmt.Fprintf(w, "  %s", c.name)
		for _, m := range r.row.metrics {
			fmt.Fprintf(w, "\t%s", c.figure(m))
		}
		fmt.Fprintln(w)
	}
	// A strings.Builder takes everything.
	_ = w.Flush()
	for _, t := range r.row.targets {
		v := r.judge(t)
		switch {
		case !v.measured:
			fmt.Fprintf(&b, "  not measured: %s\n", t.text)
		case v.met:
			fmt.Fprintf(&b, "  met:    %s: %s\n", t.text, v.text())
		default:
			fmt.Fprintf(&b, "  MISSED: %s: %s\n", t.text, v.text())
		}
	}
	return b.String()
}

// figure is the median of a metric, or a dash.
func (c contenderResult) figure(m metric) string {
	column := c.column(m)
	if len(column) == 0 {
		return "–"
	}
	return fmt.Sprintf(m.format, median(column))
}
