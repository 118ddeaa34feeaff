package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

const restoreHelp = `Restore makes images show again: under their name, with their id and bytes, as they
were when they were removed or replaced. Mounts see them within their --list-ttl.

Where another image has the name by now, both show: ours before others' and the older
before the younger has the plain entry, the other one gets a part of its id.`

func trashRestoreCommand(std streams) *cobra.Command {
	var options optionFlags
	cmd := &cobra.Command{
		Use:     "restore [flags] IMAGE…",
		Short:   "Make images of the trash show again",
		Long:    restoreHelp,
		Example: "  imagefs trash restore --cloud mycloud debian-13.qcow2\n  imagefs trash restore 5f3a 91c0",
		Args:    atLeastOne("the image"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return withService(cmd, &options, std, func(ctx context.Context, c *client.Client, _ config.Config) error {
				trash := newTrash(c, 0, nil)
				all, err := trash.List(ctx)
				if err != nil {
					return err
				}
				chosen, err := choose(all, words)
				if err != nil {
					return err
				}
				return each(std, chosen, "restored", func(img image.Image) error {
					if _, err := trash.Restore(ctx, img.ID); err != nil {
						return err
					}
					return noteNamesakes(ctx, std, c, img)
				})
			})
		},
	}
	options.add(cmd, whoAsks...)
	return cmd
}

// noteNamesakes tells which other images have the name of a restored one.
func noteNamesakes(ctx context.Context, std streams, c *client.Client, restored image.Image) error {
	if restored.Name == "" {
		return nil
	}
	_, err := c.List(ctx, client.Filter{Name: &restored.Name}, func(page []image.Image) error {
		for _, img := range page {
			if img.ID == restored.ID {
				continue
			}
			if _, err := fmt.Fprintf(std.Err, "imagefs: image %s is called %s, too: both show, one of them with a part of its id\n", img.ID, shownName(img)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
