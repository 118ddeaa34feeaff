package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// workSink is told how work on images goes, by one goroutine.
type workSink interface {
	// begin names the image that is worked on from now on.
	begin(name string)
	// moved says how many bytes of it are done, and how many there are in all.
	moved(done, total int64)
	// said gives a line of what came of an image, and ends the work on it.
	said(line string) error
}

// work is what a daemon does for who asks it, or a command by itself. It ends with ctx. Its
// error has its exit code.
type work func(ctx context.Context, to workSink) error

// workLine is one line of a daemon's answer about work. The last one has End or Error.
type workLine struct {
	Name  string   `json:"name,omitempty"` // begins the work on an image
	Done  int64    `json:"done,omitempty"` // bytes
	Total int64    `json:"total,omitempty"`
	Said  string   `json:"said,omitempty"`
	End   bool     `json:"end,omitempty"`
	Error string   `json:"error,omitempty"`
	Code  exitCode `json:"code,omitempty"`
}

// maxQuestion, in bytes, bounds what is read of a question: some thousand names.
const maxQuestion = 1 << 20

// serveWork answers with what do does for a question, line by line, while it does it. The
// work ends with who asked for it.
func serveWork[Q any](log *slog.Logger, do func(q Q) work) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Time{}); err != nil { // the server's own bound is for what a daemon has in memory
			log.Debug("an answer cannot last", "error", err)
		}
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := &workLines{lines: json.NewEncoder(w), flush: control.Flush}
		last := workLine{End: true}
		if err := do(q)(r.Context(), out); err != nil {
			last = workLine{Error: oneLine(err), Code: codeOf(err)}
		}
		if err := out.send(last); err != nil {
			log.Debug("who asked for work did not wait for its end", "error", err)
		}
	}
}

// workLines sends how work goes.
type workLines struct {
	lines *json.Encoder
	flush func() error
	sent  time.Time // when it was last said how far it is
}

func (l *workLines) send(line workLine) error { return errors.Join(l.lines.Encode(line), l.flush()) }

// Where a line cannot be sent, who asked has gone, and the context of the work ends.
func (l *workLines) begin(name string) {
	l.sent = time.Time{}
	_ = l.send(workLine{Name: name})
}

func (l *workLines) moved(done, total int64) {
	if now := time.Now(); now.Sub(l.sent) >= drawEvery {
		l.sent = now
		_ = l.send(workLine{Done: done, Total: total})
	}
}

func (l *workLines) said(line string) error { return l.send(workLine{Said: line}) }

// asked is the work of a daemon that is asked for it.
func (t target) asked(path string, question any) work {
	return func(ctx context.Context, to workSink) error {
		d, err := t.daemon(ctx)
		if err != nil {
			return err
		}
		err = d.work(ctx, path, question, to)
		var known *failure
		if err != nil && ctx.Err() == nil && !errors.As(err, &known) {
			return t.noDaemon(err)
		}
		return err
	}
}

// work asks the daemon for work, and tells how it goes.
func (d daemon) work(ctx context.Context, path string, question any, to workSink) error {
	return d.attended(ctx, http.MethodPost, path, question, func(body io.ReadCloser) error { return readWork(body, to) })
}

func readWork(body io.Reader, to workSink) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line workLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return err
		}
		switch {
		case line.End:
			return nil
		case line.Error != "":
			return saidBy(line.Error, line.Code)
		case line.Name != "":
			to.begin(line.Name)
		case line.Said != "":
			if err := to.said(line.Said); err != nil {
				return fail(exitInternal, "%w", err)
			}
		default:
			to.moved(line.Done, line.Total)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("it has ended: %w", err)
	}
	return errors.New("it has ended")
}
