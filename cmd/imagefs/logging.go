package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/imagefs/imagefs/config"
)

// newLogger writes as the configuration says: coloured on a terminal, plain text
// or JSON elsewhere; and not without a bound.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	return slog.New(newBoundedLog(newLogHandler(w, format, level)))
}

func newLogHandler(w io.Writer, format string, level slog.Leveler) slog.Handler {
	if format == config.LogJSON {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, plain := os.LookupEnv("NO_COLOR")
		return tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: plain})
	}
	options := &slog.HandlerOptions{Level: level}
	if _, journal := os.LookupEnv("JOURNAL_STREAM"); journal { // systemd notes the time itself
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.NewTextHandler(w, options)
}
