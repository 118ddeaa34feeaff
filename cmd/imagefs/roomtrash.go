package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/image"
)

// newTrash is the trash of the credentials' project.
func newTrash(service *client.Client, keep time.Duration, log *slog.Logger) *commit.Trash {
	return commit.NewTrash(commit.TrashOptions{Records: service, Hidden: hiddenLister{service}, Keep: keep, Now: service.Now, Logger: log})
}

// hiddenLister lists the project's hidden images for the trash.
type hiddenLister struct{ client *client.Client }

// ListHidden yields those that belong to the project, or all where it is not known.
func (l hiddenLister) ListHidden(ctx context.Context, yield func([]image.Image) error) error {
	_, err := l.client.List(ctx, client.Filter{Hidden: true, Owner: l.client.Project()}, yield)
	return err
}
