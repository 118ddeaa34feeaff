package image

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Causes (context.Cause) of a context whose work is given up for a reason that is not
// its caller's.
var (
	// ErrRemoval: the entry that the work is for is being removed.
	ErrRemoval = errors.New("its entry is being removed")
	// ErrShutdown: the daemon ends; the next one goes on with the work.
	ErrShutdown = errors.New("the daemon ends")
)

// ErrDeletedSince is why a commit is owed no more: the image that it made was published,
// and somebody has deleted it since. Only a user can want it again.
var ErrDeletedSince = errors.New("the image was published and has been deleted since")

// ErrUnreadable is why there is no record in an answer: the service has given one that is none.
// That says nothing of others.
var ErrUnreadable = errors.New("the record cannot be read")

// ErrUnshown is why an empty file is not made an image: it would not show.
var ErrUnshown = errors.New("the mount would not show it")

type quietKey struct{}

// Quietly returns a context for work that is tried again until it succeeds. Whoever
// begins it tells of its failures, once; those who do it only log them for debugging.
func Quietly(ctx context.Context) context.Context { return context.WithValue(ctx, quietKey{}, true) }

type briefKey struct{}

// Briefly returns a context whose requests are tried once each: whoever began the
// work tries all of it again.
func Briefly(ctx context.Context) context.Context { return context.WithValue(ctx, briefKey{}, true) }

// Brief reports whether requests under ctx are tried once only.
func Brief(ctx context.Context) bool { return ctx.Value(briefKey{}) != nil }

type patientKey struct{}

// Patiently returns a context whose requests wait for a service that is away as long as
// they may, where others fail at once: more hangs on them than a moment of waiting.
func Patiently(ctx context.Context) context.Context {
	return context.WithValue(ctx, patientKey{}, true)
}

// Patient reports whether requests under ctx wait for a service that is away.
func Patient(ctx context.Context) bool { return ctx.Value(patientKey{}) != nil }

// FailureLevel is the level at which a failure of work under ctx is logged.
func FailureLevel(ctx context.Context, level slog.Level) slog.Level {
	if ctx.Value(quietKey{}) != nil {
		return slog.LevelDebug
	}
	return level
}

// Pause lets work wait. The end of ctx ends the wait, and is the error then.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
