package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

// service looks at the service: who we are there, the clocks, and ranges.
func (d *doctor) service(ctx context.Context, c config.Config) {
	began := time.Now()
	service, err := dialService(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		d.bad("service", serviceFailure(err, c.Cloud, c.Endpoint))
		return
	}
	defer service.Close()
	d.ok("service", "%s answers, after %s", service.Service(), time.Since(began).Round(time.Millisecond))
	if service.Insecure() {
		d.note("trust", insecureNote)
	}
	switch {
	case service.Project() != "":
		d.ok("who", "user %s in project %s", orElse(service.User(), "unknown"), service.Project())
	default:
		d.note("who", "the project is unknown without Keystone: every image counts as yours")
	}
	img, err := firstWithBytes(ctx, service)
	if err != nil {
		d.bad("listing", serviceFailure(err, c.Cloud, c.Endpoint))
		return
	}
	if ahead := time.Until(service.Now()).Round(time.Second); ahead != 0 {
		d.note("clock", "the service's and this machine's differ by %s: set them by NTP", ahead.Abs())
	} else {
		d.ok("clock", "agrees with the service's")
	}
	d.remains(ctx, service, c)
	if img.ID == "" {
		d.note("ranges", "cannot be tried: there is no image with bytes")
		return
	}
	switch err := readOne(ctx, service, img); {
	case err == nil:
		d.ok("ranges", "parts of images can be read")
	case image.Is(err, image.NoRanges):
		d.note("ranges", "the store serves only whole images: each is read from its beginning, once, into the cache on disk")
	default:
		d.bad("ranges", serviceFailure(err, c.Cloud, c.Endpoint))
	}
}

// errFound ends a listing.
var errFound = errors.New("found")

// firstWithBytes is the first image that has some, or the zero value. It reads a page or
// two of the listing.
func firstWithBytes(ctx context.Context, service *client.Client) (image.Image, error) {
	var first image.Image
	_, err := service.List(ctx, client.Filter{Statuses: []image.Status{image.StatusActive}}, func(page []image.Image) error {
		for _, img := range page {
			if img.Size > 0 {
				first = img
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return first, err
}

// readOne reads the last byte of an image: of a store without ranges, not its first, which
// that could answer with everything.
func readOne(ctx context.Context, service *client.Client, img image.Image) error {
	body, err := service.OpenSpan(ctx, img, image.Span{Off: img.Size - 1, Len: 1})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}
