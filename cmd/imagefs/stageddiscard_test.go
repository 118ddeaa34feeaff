package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/staging"
)

// A draft that somebody takes after it was chosen has the exit code of one that is in use.
func TestStagedDiscardOvertaken(t *testing.T) {
	url := service(t, nil)
	api, err := client.Dial(t.Context(), client.Options{Endpoint: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	dir := filepath.Join(t.TempDir(), "staging")
	s := openStagingOf(t, dir, api.Service(), "")
	for _, half := range []string{"", "an image half made"} {
		for _, endpoint := range []string{url, "http://127.0.0.1:1"} {
			d, err := s.Create(staging.Spec{Name: "n"})
			if err == nil {
				err = d.Update(func(r *staging.Record) { r.Image = half })
			}
			if err != nil {
				t.Fatal(err)
			}
			var said lockedBuffer
			err = discardStaged(t.Context(), config.Config{StagingDir: dir, Endpoint: endpoint, Memory: 8 << 20, Streams: 4},
				[]staging.Record{d.Record()}, streams{Err: &said})
			if codeOf(err) != exitDraftBusy {
				t.Errorf("%q at %s: %v", half, endpoint, err)
			}
			if err := d.Discard(); err != nil {
				t.Error(err)
			}
		}
	}
}

// discard shows at a terminal what would go, and Ctrl-C ends its waiting for an answer.
func TestStagedDiscardAsks(t *testing.T) {
	t.Setenv("IMAGEFS_CONFIG", "")
	dir := filepath.Join(t.TempDir(), "staging")
	d, err := openStaging(t, dir).Create(staging.Spec{Name: "one.img"})
	if err == nil {
		_, err = d.WriteAt(t.Context(), []byte("data"), 0)
	}
	if err == nil {
		err = d.Keep("no room")
	}
	if err != nil {
		t.Fatal(err)
	}
	keyboard, terminal := newTerminal(t)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx   context.Context
		typed string
		code  exitCode
		left  int
	}{{interrupted, "", exitInterruptedBy, 1}, {t.Context(), "no\n", exitInternal, 1}, {t.Context(), "yes\n", exitOK, 0}} {
		if _, err := keyboard.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		var stderr lockedBuffer
		code := run(c.ctx, []string{"staged", "discard", "--staging-dir", dir, "--all"}, streams{In: terminal, Out: io.Discard, Err: &stderr})
		left, err := staging.Survey(dir)
		if exitCode(code) != c.code || err != nil || len(left) != c.left {
			t.Errorf("%q: code %d, %d drafts left, %v", c.typed, code, len(left), err)
		}
		if want := "  one.img  failed, 4 B\nDelete 1 draft of 4 B for good? [y/N] "; !strings.HasPrefix(stderr.String(), want) {
			t.Errorf("it asks %q", stderr.String())
		}
	}
}
