package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/config"
)

// A program that tries again without a pause, while the service is away, does not fill the
// log: a failure is there, and how often it was. Changes at the service are all there.
func TestLogIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newLogger(&out, config.LogText, slog.LevelInfo)
		count := func(text string) int { return strings.Count(out.String(), text) }
		for i := range 1000 {
			log.With("try", i).Warn("read failed", "image", fmt.Sprint("image-", i))
			log.Info("delete")
			log.Debug("not asked for")
		}
		for i := range 1000 {
			draft := fmt.Sprint("/staging/", i)
			log.With("draft", draft).Warn("not committed: the draft is kept in staging")
			log.Error("closing a draft failed", "draft", draft)
		}
		log.Error("something else")
		if n := count(`msg="read failed"`); n != linesOfOne {
			t.Errorf("%d lines of one kind, want %d", n, linesOfOne)
		}
		if count("image=image-99") != 1 || count("image=image-100") != 0 {
			t.Error("not the first lines are there")
		}
		if count("msg=delete") != 1000 || count("something else") != 1 || count("not asked for") != 0 {
			t.Error("lines of other kinds are missing, or too many")
		}
		if count("not committed") != 1000 || count("closing a draft failed") != 1000 {
			t.Error("not all lines are there that say where bytes are")
		}
		time.Sleep(linesEvery)
		log.With("image", "strange").Info("whatever comes next")
		if line := lineWith(out.String(), "were left out"); strings.Contains(line, "strange") {
			t.Errorf("the count is told of another image: %s", line)
		}
		want := fmt.Sprintf(`of="read failed" lines=%d`, 1000-linesOfOne)
		if count(want) != 1 {
			t.Errorf("it does not say %s", want)
		}
		log.Warn("read failed", "image", "later")
		time.Sleep(linesEvery)
		log.Info("whatever comes next")
		if count("image=later") != 1 || count("were left out") != 1 {
			t.Errorf("after a while it does not begin anew:\n%s", out.String()[out.Len()-500:])
		}
		for range linesOfOne + 7 {
			log.Warn("read failed", "image", "last")
		}
		endLog(log)
		if count(`of="read failed" lines=7`) != 1 {
			t.Errorf("the end of the log loses the last count:\n%s", out.String()[out.Len()-500:])
		}
	})
}

// lineWith is the first line with a text.
func lineWith(all, text string) string {
	for line := range strings.Lines(all) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// What is withheld when a mount ends is in its log, too.
func TestWithheldAtTheEnd(t *testing.T) {
	t.Parallel()
	endpoint := service(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/file") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	w := newWorld(t)
	first := w.mounted(endpoint)
	w.mustSh("echo data > m/x")
	w.mustRun("unmount", first)
	p := w.start("mount", "--foreground", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", "--cache-size", "0", first)
	eventually(t, "it is mounted", func() bool { _, err := w.ask(first); return err == nil })
	w.mustSh(fmt.Sprintf("for i in $(seq %d); do ! cat m/x 2>/dev/null; done", linesOfOne+7))
	w.mustRun("unmount", first)
	if _, stderr, code := p.end(); code != exitOK || !strings.Contains(stderr, "were left out") {
		t.Errorf("code %d: %s", code, stderr)
	}
}
