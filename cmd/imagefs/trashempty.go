package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

const emptyHelp = `Empty deletes images of the trash for good, also before their time: all of them, those
that are named, or those that have been there for longer than --older-than. On a
terminal it asks before; elsewhere it needs --yes. A protected image, and one that is
in use, stays.`

// emptying is what the trash is emptied of.
type emptying struct {
	words     []string
	olderThan string // "" for any age
	yes       bool
}

func trashEmptyCommand(std streams) *cobra.Command {
	var options optionFlags
	var what emptying
	cmd := &cobra.Command{
		Use:     "empty [flags] [IMAGE…]",
		Short:   "Delete images of the trash for good",
		Long:    emptyHelp,
		Example: "  imagefs trash empty --cloud mycloud\n  imagefs trash empty --older-than 2d --yes",
		RunE: func(cmd *cobra.Command, words []string) error {
			what.words = words
			if len(words) > 0 && what.olderThan != "" {
				return usageError(cmd, errors.New("images are named and --older-than is given: give one of them"))
			}
			return withService(cmd, &options, std, func(ctx context.Context, c *client.Client, _ config.Config) error {
				trash := newTrash(c, 0, nil)
				all, err := trash.List(ctx)
				if err != nil {
					return err
				}
				chosen, err := what.of(all, c.Now())
				if err != nil {
					return err
				}
				if !what.yes && len(chosen) > 0 {
					if err := confirm(ctx, std, amount(chosen)); err != nil {
						return err
					}
				}
				return each(std, chosen, "deleted", func(img image.Image) error { return trash.Delete(ctx, img) })
			})
		},
	}
	options.add(cmd, whoAsks...)
	cmd.Flags().StringVar(&what.olderThan, "older-than", "", "only what has been in the trash for `DURATION` (36h, 7d)")
	cmd.Flags().BoolVar(&what.yes, "yes", false, "do not ask")
	return cmd
}

// of returns the images that are to be deleted.
func (e emptying) of(all []image.Image, now time.Time) ([]image.Image, error) {
	if len(e.words) > 0 {
		return choose(all, e.words)
	}
	if e.olderThan == "" {
		return all, nil
	}
	age, err := config.ParsePeriod(e.olderThan)
	if err != nil {
		return nil, fail(exitUsage, "--older-than: %w", err)
	}
	var old []image.Image
	for _, img := range all {
		if why, _ := img.Trashed(); now.Sub(why.At) >= age {
			old = append(old, img)
		}
	}
	return old, nil
}

// amount says how many images these are, and how large together.
func amount(images []image.Image) string {
	var total int64
	for _, img := range images {
		total += img.Size
	}
	return countOf(len(images), "image", total)
}
