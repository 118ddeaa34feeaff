package commit

import (
	"context"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// A commit that is given up because its entry is being removed is no failure, and its
// draft is not kept: the log says neither.
func TestGivenUpForRemoval(t *testing.T) {
	removing, cancel := context.WithCancelCause(context.Background())
	cancel(image.ErrRemoval)
	for what, begin := range map[string]func(h *house, f *fake) context.Context{
		"before it began": func(*house, *fake) context.Context { return removing },
		"in its upload": func(_ *house, f *fake) context.Context {
			ctx, cancel := context.WithCancelCause(context.Background())
			f.slow = func(int64) error { cancel(image.ErrRemoval); return nil }
			return ctx
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake()
			h := newHouse(t, f)
			d := h.draft(staging.Spec{Name: "x"}, pattern(5000))
			if _, err := h.Commit(begin(h, f), d); !image.Is(err, image.Interrupted) || len(f.all()) != 0 {
				t.Errorf("%v: %+v", err, f.all())
			}
			if log := h.log.String(); strings.Contains(log, "ERROR") || !strings.Contains(log, "its entry is being removed") {
				t.Errorf("log: %s", log)
			}
			f.slow = nil
			if img, err := h.Commit(ctxb, d); err != nil || img.Size != 5000 { // the removal was refused
				t.Errorf("%v: %+v", err, img)
			}
		})
	}
}
