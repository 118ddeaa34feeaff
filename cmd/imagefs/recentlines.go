package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/imagefs/imagefs/metrics"
)

const (
	// mostRecent is how many lines are remembered: what fits a terminal beside the rest.
	mostRecent = 5
	// recentLength, in bytes, bounds the error of one, and the name: a service's sentence has 300
	// characters at most, and names some hundred.
	recentLength = 1 << 10
)

// recentLog hands on what is logged, counts warnings and errors, and remembers the last of
// them.
type recentLog struct {
	next slog.Handler
	kept *recentLines
	with []slog.Attr // that each line has
}

// recentLines are what a log has of late.
type recentLines struct {
	mu   sync.Mutex // guards the field below
	most metrics.Logged
}

// newRecentLog returns a log that hands on to another, and what it remembers.
func newRecentLog(next *slog.Logger) (*slog.Logger, *recentLines) {
	kept := &recentLines{}
	return slog.New(&recentLog{next: next.Handler(), kept: kept}), kept
}

// Enabled implements slog.Handler.
func (l *recentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (l *recentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &recentLog{next: l.next.WithAttrs(attrs), kept: l.kept, with: slices.Concat(l.with, attrs)}
}

// WithGroup implements slog.Handler.
func (l *recentLog) WithGroup(name string) slog.Handler {
	return &recentLog{next: l.next.WithGroup(name), kept: l.kept, with: l.with}
}

// Handle implements slog.Handler.
func (l *recentLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		l.kept.remember(r, l.with)
	}
	return l.next.Handle(ctx, r)
}

func (k *recentLines) remember(r slog.Record, with []slog.Attr) {
	has := make(map[string]string)
	note := func(a slog.Attr) bool {
		switch a.Key {
		case "error", "reason", "entry", "name", "image":
			has[a.Key] = cut(a.Value.String())
		}
		return true
	}
	for _, a := range with {
		note(a)
	}
	r.Attrs(note)
	line := metrics.LogLine{
		Time: r.Time.UTC(), Level: strings.ToLower(r.Level.String()), Message: r.Message,
		Name:  cmp.Or(has["entry"], has["name"], has["image"]),
		Error: cmp.Or(has["error"], has["reason"]),
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.Level >= slog.LevelError {
		k.most.Errors++
	} else {
		k.most.Warnings++
	}
	if len(k.most.Last) == mostRecent {
		k.most.Last = slices.Delete(k.most.Last, 0, 1)
	}
	k.most.Last = append(k.most.Last, line)
}

// cut bounds what is remembered of a value.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), recentLength)], "")
}

// logged is what the log has so far.
func (k *recentLines) logged() metrics.Logged {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.most
	all.Last = append([]metrics.LogLine{}, all.Last...)
	return all
}
