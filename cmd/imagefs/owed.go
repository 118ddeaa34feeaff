package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

const (
	// lookedUpAtOnce is how many drafts of earlier runs are looked up at once, with two
	// requests for small records each.
	lookedUpAtOnce = 8
	// lookUpLimit bounds looking them up, for which the mount waits. What is not taken
	// up by then, the recovery commits without showing it before.
	lookUpLimit = 20 * time.Second
	// lookUpFirst and lookUpMost are the pauses between two tries.
	lookUpFirst = 100 * time.Millisecond
	lookUpMost  = 2 * time.Second
)

// takeOwed takes up the drafts of earlier runs whose commits are due, for the mount
// to show and to commit. What cannot be taken up is left to the recovery.
func (r *rooms) takeOwed(ctx context.Context) []fs.Owed {
	kept, err := r.staging.Kept()
	if err != nil {
		return nil // noteKept says so
	}
	renames, err := r.staging.Renames()
	if err != nil {
		return nil // as well
	}
	waits := undecided(renames)
	ctx, cancel := context.WithTimeout(image.Briefly(ctx), lookUpLimit)
	defer cancel()
	var (
		group errgroup.Group
		mu    sync.Mutex // guards the variable below
		all   []fs.Owed
	)
	group.SetLimit(lookedUpAtOnce)
	for _, k := range kept {
		if whatNext(k, r.client.Project()) != goesOn || k.Unlinked || k.Uncertain || waits[k.Draft] {
			continue
		}
		group.Go(func() error {
			owed, err := r.takeUpInTime(ctx, k)
			switch {
			case err != nil:
				r.log.Info("a file of an earlier run is committed without showing before", "name", k.Name, "draft", k.Draft, "error", err)
			case owed != nil:
				mu.Lock()
				defer mu.Unlock()
				all = append(all, *owed)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nothing
	return all
}

// takeUpInTime takes up one of them, nil if its file was being removed and is gone. What
// passes is waited for until ctx ends: without its draft the entry would show what a close
// that was answered has replaced.
func (r *rooms) takeUpInTime(ctx context.Context, k staging.Record) (*fs.Owed, error) {
	waits := &backoff.ExponentialBackOff{InitialInterval: lookUpFirst, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: lookUpMost}
	waits.Reset()
	for {
		removed, err := r.finishRemoval(ctx, k)
		if removed {
			return nil, err // the recovery goes on
		}
		var owed fs.Owed
		if err == nil {
			owed, err = r.takeUp(ctx, k)
		}
		if err == nil {
			return &owed, nil
		}
		if !commit.Passes(err) || image.Pause(ctx, waits.NextBackOff()) != nil {
			return nil, err
		}
	}
}

// takeUp takes up one of them, with the image that lies under it.
func (r *rooms) takeUp(ctx context.Context, k staging.Record) (fs.Owed, error) {
	under, err := r.under(ctx, k)
	if err != nil {
		return fs.Owed{}, err
	}
	d, err := r.reopen(ctx, k)
	if err != nil {
		return fs.Owed{}, err
	}
	return fs.Owed{
		Draft: r.drafts().wrap(d), Entry: k.Entry, Name: k.Name, Under: under, Attributes: d.Record().Attributes, Settings: d.Record().Settings, Since: k.UpdatedAt,
	}, nil
}

// finishRemoval unlinks a draft whose file was being removed when an earlier run was
// killed, if the image under it is gone: that went first.
func (r *rooms) finishRemoval(ctx context.Context, k staging.Record) (removed bool, err error) {
	if k.Removing == "" || k.Unlinked {
		return false, nil
	}
	img, err := r.client.Get(ctx, k.Removing)
	_, trashed := img.Trashed()
	switch {
	case image.Is(err, image.NotFound), err == nil && trashed:
	case err != nil:
		return false, err
	default:
		return false, nil
	}
	d, err := r.take(k, staging.ReopenSpec{}) // its bytes are not read
	if err != nil {
		return false, err
	}
	r.log.Info("removing a file of an earlier run that was being removed", "name", k.Name, "draft", k.Draft, "image", k.Removing)
	return true, errors.Join(unlinkDraft(d), d.Close())
}

// under returns the image that a draft of an earlier run replaces or fills; nil where
// it is gone, or others have given it another name, or have hidden it.
func (r *rooms) under(ctx context.Context, k staging.Record) (*image.Image, error) {
	id := k.Into
	if id == "" {
		id = k.Replaces
	}
	if id == "" {
		return nil, nil
	}
	img, err := r.catalog.ByID(ctx, id)
	switch {
	case image.Is(err, image.NotFound), err == nil && (img.Name != k.Name || img.Hidden && img.Properties[image.PropertyDraft] != k.Draft):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &img, nil
}
