package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestRecentLines(t *testing.T) {
	var out bytes.Buffer
	log, kept := newRecentLog(slog.New(slog.NewTextHandler(&out, nil)))
	if s := kept.logged(); s.Last == nil {
		t.Error("no line is null in JSON")
	}
	log.Info("a line of everyday")
	for i := range 7 {
		log.With("image", "x").Warn(fmt.Sprintf("read %d failed", i), "handle", 1, "error", errors.New("corrupt"))
	}
	log.WithGroup("g").Error("commit failed", "error", strings.Repeat("é", recentLength))
	got := kept.logged()
	if got.Warnings != 7 || got.Errors != 1 || len(got.Last) != mostRecent {
		t.Fatalf("%+v", got)
	}
	if l := got.Last[0]; l.Level != "warn" || l.Message != "read 3 failed" || l.Error != "corrupt" || l.Time.IsZero() {
		t.Errorf("the first is %+v", l)
	}
	if l := got.Last[mostRecent-1]; l.Level != "error" || l.Message != "commit failed" || l.Error != strings.Repeat("é", recentLength/2) {
		t.Errorf("the last is %+v", l)
	}
	if n := strings.Count(out.String(), "\n"); n != 9 || !strings.Contains(out.String(), "image=x handle=1 error=corrupt") {
		t.Errorf("%d lines are handed on:\n%s", n, out.String())
	}
	log.With("entry", "disk.raw", "draft", "d").Warn("not committed", "reason", "its writer was killed", "image", "x")
	if l := kept.logged().Last[mostRecent-1]; l.Name != "disk.raw" || l.Error != "its writer was killed" {
		t.Errorf("of a file: %+v", l)
	}
	log.With("image", "x").With("handle", 1).WithGroup("g").Warn("not committed")
	if l := kept.logged().Last[mostRecent-1]; l.Name != "x" || l.Error != "" {
		t.Errorf("of an image: %+v", l)
	}
	log, kept = newRecentLog(slog.New(slog.DiscardHandler))
	if log.Warn("nobody logs this"); kept.logged().Warnings != 0 {
		t.Error("a line below the level is remembered")
	}
}
