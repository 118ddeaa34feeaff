package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/image"
)

const cacheDropHelp = `Drop removes what is cached of images, to make room or to have them fetched anew. No image
at the service and no file in staging is touched. Who has an image open goes on, and fetches
what it reads; what the kernel reads directly is freed when it is closed.

IMAGE is a file in a mount, or an entry or id of the only mount; without a mount an id, or
its first digits (4 or more).`

func cacheDropCommand(std streams) *cobra.Command {
	var options optionFlags
	var all bool
	cmd := &cobra.Command{
		Use:     "drop [flags] {IMAGE… | --all [MOUNTPOINT]}",
		Short:   "Remove what is cached on disk",
		Long:    cacheDropHelp,
		Example: "  imagefs cache drop ~/images/debian-13.qcow2\n  imagefs cache drop --all ~/images",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && !all:
				return usageError(cmd, errors.New("no image is named: give IMAGE, or --all"))
			case all && len(args) > 1:
				return usageError(cmd, fmt.Errorf("unexpected argument %q", args[1]))
			case all && len(args) == 1 && cmd.Flags().Changed(cacheFlag):
				return usageError(cmd, errTwoCaches)
			case all && len(args) == 1:
				t, err := findTarget(args[0])
				if err != nil {
					return err
				}
				return attend(cmd.Context(), std, dropInterrupted, t.asked(cacheDropPath, cacheQuestion{All: true}))
			}
			return cacheWork(cmd, &options, std, args, cacheDropPath, dropInterrupted, diskCache.drop)
		},
	}
	options.add(cmd, cacheFlag)
	cmd.Flags().BoolVar(&all, "all", false, "of every image, in the mount's cache or the directory's")
	return cmd
}

const dropInterrupted = "some of it is left"

// drop removes what is cached of images.
func (c diskCache) drop(all []chosen) work {
	return func(ctx context.Context, to workSink) error {
		for _, it := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := to.said(it.name + ": " + c.dropOne(it)); err != nil {
				return err
			}
		}
		return nil
	}
}

func (c diskCache) dropOne(it chosen) string {
	var freed int64 // bytes
	later := false
	for _, l := range it.images {
		n := c.store.Drop(l.Key, l.Size)
		c.forget(func(key image.Key) bool { return key == l.Key })
		later = later || n == 0 && l.Pinned
		freed += n
	}
	text := fmt.Sprintf("%s freed", humanize.IBytes(uint64(freed)))
	if later {
		text += ", the rest when those who read it close it"
	}
	return text
}
