package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// linesOfOne kind in linesEvery are written, of what went wrong: enough to see what a
	// trouble is about. With a service that is away each program that tries again would
	// otherwise write as fast as it can, and what is in the log from before would be gone
	// within a minute.
	linesOfOne = 100
	linesEvery = time.Minute
)

// boundedLog hands on what is logged, but of warnings and errors with one message only the
// first in a time, and then how many others there were. What is not wrong is handed on as
// it is: changes at the service are all in the log.
type boundedLog struct {
	next  slog.Handler
	lines *lineCounts // of all that derives from one logger
}

type lineCounts struct {
	mu sync.Mutex // guards the fields below; held across local writes
	of map[string]*lineCount
}

// lineCount is of one message, which is a constant of the program.
type lineCount struct {
	since    time.Time
	written  int
	withheld int
}

func newBoundedLog(next slog.Handler) slog.Handler {
	return &boundedLog{next: next, lines: &lineCounts{of: map[string]*lineCount{}}}
}

// Enabled implements slog.Handler.
func (b *boundedLog) Enabled(ctx context.Context, level slog.Level) bool {
	return b.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (b *boundedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &boundedLog{next: b.next.WithAttrs(attrs), lines: b.lines}
}

// WithGroup implements slog.Handler.
func (b *boundedLog) WithGroup(name string) slog.Handler {
	return &boundedLog{next: b.next.WithGroup(name), lines: b.lines}
}

// Handle implements slog.Handler.
func (b *boundedLog) Handle(ctx context.Context, r slog.Record) error {
	b.lines.mu.Lock()
	defer b.lines.mu.Unlock()
	for message, n := range b.lines.of {
		if r.Time.Sub(n.since) < linesEvery {
			continue
		}
		delete(b.lines.of, message)
		if n.withheld == 0 {
			continue
		}
		told := slog.NewRecord(r.Time, slog.LevelWarn, "lines like others before them were left out", 0)
		told.AddAttrs(slog.String("of", message), slog.Int("lines", n.withheld), slog.Time("since", n.since))
		if err := b.next.Handle(ctx, told); err != nil {
			return err
		}
	}
	if r.Level >= slog.LevelWarn {
		n := b.lines.of[r.Message]
		if n == nil {
			n = &lineCount{since: r.Time}
			b.lines.of[r.Message] = n
		}
		if n.written == linesOfOne {
			n.withheld++
			return nil
		}
		n.written++
	}
	return b.next.Handle(ctx, r)
}
