package faults

import (
	"context"
	"errors"
	"maps"
	"os"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

// TestUnansweredRenameOfDraft: a file that is being edited, and its image, are renamed over
// another image, and the service does not answer whether that has the name. The rename has
// failed, so both names stand for what they stood for.
func TestUnansweredRenameOfDraft(t *testing.T) {
	for what, f := range map[string]fault.Fault{"done": fault.LostAnswer, "not done": fault.Reset} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*daemon.Patience)
			defer cancel()
			w, prefix := lent(ctx, t, map[string]string{"-from": "before", "-to": "another"})
			from, to := prefix+"-from", prefix+"-to"
			file, err := os.OpenFile(w.path(from), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close() // where the test has ended early
			if _, err := file.WriteAt([]byte("edited"), 0); err != nil {
				t.Fatal(err)
			}
			if err := w.proxy.Set(always(fault.Update, f, 0)); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Rename(w.path(from), w.path(to)); !errors.Is(err, syscall.EIO) {
				t.Errorf("the rename: %v", err)
			}
			if err := w.proxy.Set(); err != nil {
				t.Fatal(err)
			}
			if err := w.recovered(); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Errorf("the close: %v", err)
			}
			if err := w.journalsGone(); err != nil {
				t.Error(err)
			}
			want := map[string]string{from: "edited", to: "another"}
			if got, err := w.contents(ctx, prefix); err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, the service has %q, want %q", err, got, want)
			}
		})
	}
}
