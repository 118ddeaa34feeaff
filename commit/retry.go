package commit

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/imagefs/imagefs/image"
)

const (
	// tries is how often one step is tried in all. A service that restarts is
	// back within the waits between three tries, and a close(2) that cannot be
	// interrupted must not wait for many stall time-outs.
	tries = 3
	// firstWait is the mean of the first wait; each further one is waitGrowth
	// times as long, up to maxWait. Every wait is spread by half of itself, so that
	// many writers do not come back at once.
	firstWait  = time.Second
	waitGrowth = 3.0
	maxWait    = 10 * time.Second
	// cleanupTime bounds the work that outlives the caller's cancellation: taking
	// a record back, publishing a checked image, retiring the old one.
	cleanupTime = 45 * time.Second
)

// transient reports a failure that says nothing about the request itself: trying
// again may help and repeats no decision of the service.
func transient(err error) bool {
	switch image.KindOf(err) {
	case image.Unavailable, image.Stalled, image.Unreachable, image.IdentityAway, image.NoDescriptors:
		return err != nil
	default:
		return false
	}
}

// Passes reports a failure that says nothing about the draft: what it waits for (the
// service, the identity service, credentials, room on the local disk) may be there
// later. A refusal does not pass.
func Passes(err error) bool {
	switch image.KindOf(err) {
	case image.Unavailable, image.Stalled, image.Unreachable, image.NoDescriptors, image.Interrupted,
		image.IdentityAway, image.Credentials, image.Untrusted, image.UnexpectedAnswer, image.LocalFull, image.Other:
		return err != nil
	default:
		return false
	}
}

// transientOrBusy is for records that nobody else has a use for: busy passes.
func transientOrBusy(err error) bool { return transient(err) || image.Is(err, image.Busy) }

// waits returns the waits between tries.
func waits() backoff.BackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: firstWait, RandomizationFactor: 0.5, Multiplier: waitGrowth, MaxInterval: maxWait,
	}
}

// again runs op until it succeeds, fails for good, or has had its tries. Between
// the tries it waits, and ends the wait with ctx. The error is op's last one.
func again(ctx context.Context, retry func(error) bool, op func(ctx context.Context) error) error {
	var last error
	most := uint(tries)
	if image.Brief(ctx) {
		most = 1
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = op(ctx)
		if last != nil && !retry(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(waits()), backoff.WithMaxTries(most), backoff.WithMaxElapsedTime(0))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && last == nil:
		return err
	default:
		return last
	}
}

// sturdy returns a context that outlives the cancellation of ctx, keeps its
// values and is bounded by cleanupTime.
func sturdy(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
}

// cause gives an error of a step the kind that the caller has to see: whatever a
// cancelled request looked like, its cause is the cancellation.
func cause(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled) && !image.Is(err, image.Interrupted):
		return &image.Error{Op: "commit", Kind: image.Interrupted, Err: err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && !image.Is(err, image.Stalled):
		return &image.Error{Op: "commit", Kind: image.Stalled, Err: err}
	default:
		return err
	}
}

// removal reports whether ctx ended because the entry is being removed.
func removal(ctx context.Context) bool { return errors.Is(context.Cause(ctx), image.ErrRemoval) }

// shutdown reports whether ctx ended because the daemon does.
func shutdown(ctx context.Context) bool { return errors.Is(context.Cause(ctx), image.ErrShutdown) }

// givenUp is what the log says then.
const givenUp = "commit given up: its entry is being removed"
