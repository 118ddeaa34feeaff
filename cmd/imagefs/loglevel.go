package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
)

// levelSource is where a mount's log level comes from when it is read again. It goes to the
// daemon, which knows neither flags nor the caller's directory.
type levelSource struct {
	File  string `json:"file,omitempty"`  // absolute path of the configuration; "" for none
	Fixed string `json:"fixed,omitempty"` // the flag or variable that gives the level, and wins over the file; "" for none
}

// levelSource says where resolve has found the level.
func (f *optionFlags) levelSource(origins config.Origins) (levelSource, error) {
	var s levelSource
	if origin := origins["log-level"]; strings.HasPrefix(origin, "--") || strings.HasPrefix(origin, "IMAGEFS_") {
		s.Fixed = origin
	}
	if f.file == "" {
		return s, nil
	}
	var err error
	s.File, err = filepath.Abs(f.file)
	return s, err
}

// newLogger makes the log of a mount, and what reads its level again.
func (s levelSource) newLogger(w io.Writer, c config.Config) (log *slog.Logger, reread func()) {
	level := new(slog.LevelVar)
	level.Set(c.LogLevel)
	log = newLogger(w, c.LogFormat, level)
	return log, func() { s.reread(level, log) }
}

// reread sets the level to what the file says now, and says in one line what came of that.
// The line is written at every level: somebody has asked, and waits for it.
func (s levelSource) reread(level *slog.LevelVar, log *slog.Logger) {
	was := level.Level()
	var line slog.Record
	switch now, err := config.LogLevel(s.File); {
	case s.Fixed != "":
		line = slog.NewRecord(time.Now(), slog.LevelWarn, "log level not read again: a flag or a variable gives it, which wins over the file", 0)
		line.Add("level", was, "given", s.Fixed)
	case s.File == "":
		line = slog.NewRecord(time.Now(), slog.LevelWarn, "log level not read again: the mount has no file of --config", 0)
		line.Add("level", was)
	case err != nil:
		line = slog.NewRecord(time.Now(), slog.LevelWarn, "log level not read again: the file of --config cannot be used", 0)
		line.Add("level", was, "error", err)
	default:
		level.Set(now)
		line = slog.NewRecord(time.Now(), slog.LevelInfo, "log level read again, and nothing else: the rest needs a new mount", 0)
		line.Add("level", now, "before", was, "file", s.File)
	}
	_ = log.Handler().Handle(context.Background(), line) // as of any line, nobody hears of an error
}

// watchHangups calls reread at each SIGHUP until stop, which waits for the goroutine, and
// for leaveLimit at most: the disk of the file may not answer.
func watchHangups(reread func(), log *slog.Logger) (stop func()) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, unix.SIGHUP)
	stopReading := rereadAt(came, reread, log)
	return func() {
		signal.Ignore(unix.SIGHUP) // not Stop, which would make the next one the end of the process
		stopReading()
	}
}

func rereadAt(came <-chan os.Signal, reread func(), log *slog.Logger) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-came:
				reread()
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		select {
		case <-done:
		case <-time.After(leaveLimit):
			log.Warn("the daemon ends while it reads the file of --config: the disk of that does not answer")
		}
	}
}

// hangupEnds reports whether SIGHUP means that the user has gone: there is a terminal
// that can be hung up, and it was not called by nohup. Without one somebody sends it
// on purpose.
func hangupEnds() bool {
	if signal.Ignored(unix.SIGHUP) {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = tty.Close() // nothing was written
	return true
}
