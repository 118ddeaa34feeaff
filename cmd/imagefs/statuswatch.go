package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/imagefs/imagefs/metrics"
)

// watchEvery is how often status --watch looks: a person sees what moves, and the daemon
// does not notice.
const watchEvery = time.Second

// watch shows the status until the user or the daemon ends: on a terminal in
// one place, elsewhere one below the other.
func (t target) watch(ctx context.Context, d daemon, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	var before metrics.Snapshot
	for {
		s, err := d.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // it was to be ended
		case err != nil:
			return t.noDaemon(err)
		}
		columns, rows := sizeOf(out)
		var text strings.Builder
		if err := s.WriteWatch(&text, before, columns); err != nil {
			return err
		}
		shown := text.String() + "\n"
		if columns > 0 {
			shown = frame(text.String(), columns, rows)
		}
		if _, err := io.WriteString(out, shown); err != nil {
			return err
		}
		before = s
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

// sizeOf is the size of a terminal, in characters; 0 where it is none.
func sizeOf(out io.Writer) (columns, rows int) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 || rows < 1 { // where the terminal does not tell
		return 80, 24
	}
	return columns, rows
}

// frame is what draws the text over the screen: what is too long goes on below, and lines
// that are too many are left out, so that nothing scrolls.
func frame(text string, columns, rows int) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, wrapped(strings.TrimSuffix(line, "\n"), columns)...)
	}
	if more := len(lines) - (rows - 1); more > 0 {
		keep := max(rows-2, 0)
		lines = append(lines[:keep:keep], wrapped(fmt.Sprintf("… %d more lines", len(lines)-keep), columns)[0])
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // to the corner: clearing first would flicker
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// indent, in characters, is the first column of a status: a line goes on beside it.
const indent = 10

// wrapped are the rows of a line, broken at blanks where it has some. A terminal too narrow
// for that has its beginning.
func wrapped(line string, columns int) []string {
	if columns < 2*indent {
		if n := fitting(line, columns, 0); n < len(line) {
			return []string{line[:fitting(line, columns-1, 0)] + "…"}
		}
		return []string{line}
	}
	var rows []string
	for {
		n := fitting(line, columns, indent)
		rows = append(rows, line[:n])
		if n == len(line) {
			return rows
		}
		line = strings.Repeat(" ", indent) + strings.TrimPrefix(line[n:], " ")
	}
}

// fitting is how many bytes of a line fit into the columns, if not all of them up to a blank
// that is behind so many columns, if there is one. A character may take two columns, or none.
func fitting(line string, columns, behind int) int {
	width, blank := 0, 0
	for g := uniseg.NewGraphemes(line); g.Next(); {
		at, _ := g.Positions()
		if behind > 0 && g.Str() == " " && width > behind {
			blank = at
		}
		if width += g.Width(); width > columns {
			if blank > 0 {
				return blank
			}
			return at
		}
	}
	return len(line)
}
