package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

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
		var text strings.Builder
		if err := s.WriteWatch(&text, before); err != nil {
			return err
		}
		if err := redraw(out, text.String()); err != nil {
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

// redraw shows a text in place of the one before on a terminal, as much as fits, and below
// it elsewhere.
func redraw(out io.Writer, text string) error {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		_, err := fmt.Fprintf(out, "%s\n", text)
		return err
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 || rows < 1 { // where the terminal does not tell
		columns, rows = 80, 24
	}
	_, err = io.WriteString(f, frame(text, columns, rows))
	return err
}

// frame is what draws the text over the screen: lines that are too long, and those too many,
// are cut, so that nothing scrolls.
func frame(text string, columns, rows int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(lines) - (rows - 1); more > 0 {
		keep := max(rows-2, 0)
		lines = append(lines[:keep:keep], fmt.Sprintf("… %d more lines", len(lines)-keep))
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // to the corner: clearing first would flicker
	for _, line := range lines {
		if runes := []rune(line); len(runes) > columns {
			line = string(runes[:max(columns-1, 0)]) + "…"
		}
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}
