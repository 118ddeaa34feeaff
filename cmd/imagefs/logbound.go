package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
// it is: changes at the service are all in the log. So is what names a draft: it says
// where bytes are that nobody has uploaded, and there are no more of these lines than drafts.
type boundedLog struct {
	next  slog.Handler
	lines *lineCounts // of all that derives from one logger
	draft bool        // all its lines name one
}

type lineCounts struct {
	plain slog.Handler // what a count is told to: it is about nothing that a line is about
	mu    sync.Mutex   // guards the field below; held across local writes
	of    map[string]*lineCount
}

// lineCount is of one message, which is a constant of the program.
type lineCount struct {
	since    time.Time
	written  int
	withheld int
}

func newBoundedLog(next slog.Handler) slog.Handler {
	return &boundedLog{next: next, lines: &lineCounts{plain: next, of: map[string]*lineCount{}}}
}

// Enabled implements slog.Handler.
func (b *boundedLog) Enabled(ctx context.Context, level slog.Level) bool {
	return b.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (b *boundedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &boundedLog{next: b.next.WithAttrs(attrs), lines: b.lines, draft: b.draft || slices.ContainsFunc(attrs, isDraft)}
}

// WithGroup implements slog.Handler.
func (b *boundedLog) WithGroup(name string) slog.Handler {
	return &boundedLog{next: b.next.WithGroup(name), lines: b.lines, draft: b.draft}
}

func isDraft(a slog.Attr) bool { return a.Key == "draft" }

func (b *boundedLog) namesDraft(r slog.Record) bool {
	names := b.draft
	r.Attrs(func(a slog.Attr) bool {
		names = names || isDraft(a)
		return !names
	})
	return names
}

// Handle implements slog.Handler.
func (b *boundedLog) Handle(ctx context.Context, r slog.Record) error {
	b.lines.mu.Lock()
	defer b.lines.mu.Unlock()
	err := b.lines.tellLocked(ctx, r.Time, linesEvery)
	if r.Level >= slog.LevelWarn && !b.namesDraft(r) {
		n := b.lines.of[r.Message]
		if n == nil {
			n = &lineCount{since: r.Time}
			b.lines.of[r.Message] = n
		}
		if n.written == linesOfOne {
			n.withheld++
			return err
		}
		n.written++
	}
	return errors.Join(err, b.next.Handle(ctx, r))
}

// tellLocked tells how many lines were withheld of the messages that are older than age, and
// forgets these.
func (c *lineCounts) tellLocked(ctx context.Context, now time.Time, age time.Duration) error {
	var err error
	for message, n := range c.of {
		if now.Sub(n.since) < age {
			continue
		}
		delete(c.of, message)
		if n.withheld == 0 {
			continue
		}
		told := slog.NewRecord(now, slog.LevelWarn, "lines like others before them were left out", 0)
		told.AddAttrs(slog.String("of", message), slog.Int("lines", n.withheld), slog.Time("since", n.since))
		err = errors.Join(err, c.plain.Handle(ctx, told))
	}
	return err
}

// endLog tells what was withheld of a log that ends.
func endLog(log *slog.Logger) {
	if b, ok := log.Handler().(*boundedLog); ok {
		b.lines.mu.Lock()
		defer b.lines.mu.Unlock()
		_ = b.lines.tellLocked(context.Background(), time.Now(), 0) // as of any line, nobody hears of an error
	}
}
