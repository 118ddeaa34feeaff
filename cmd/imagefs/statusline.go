package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// statusLine is one line on stderr about what is waited for: drawn again and
// again on a terminal, printed once elsewhere.
type statusLine struct {
	w     io.Writer
	width int // columns of the terminal; 0 for none
	shown bool
}

func newStatusLine(w io.Writer) *statusLine {
	l := &statusLine{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		l.width = 80 // where the terminal does not tell
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			l.width = columns
		}
	}
	return l
}

// show draws the line. Nothing depends on it, so that errors of the terminal are
// of no interest.
func (l *statusLine) show(text string) {
	switch {
	case l.width > 0:
		if runes := []rune(text); len(runes) >= l.width {
			text = string(runes[:l.width-2]) + "…"
		}
		_, _ = fmt.Fprintf(l.w, "\r%s\x1b[K", text)
	case !l.shown:
		_, _ = fmt.Fprintln(l.w, "imagefs: "+strings.TrimSpace(text))
	}
	l.shown = true
}

// clear removes the line from a terminal.
func (l *statusLine) clear() {
	if l.shown && l.width > 0 {
		_, _ = fmt.Fprint(l.w, "\r\x1b[K")
	}
}
