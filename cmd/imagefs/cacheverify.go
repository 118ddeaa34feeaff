package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/config"
)

const cacheVerifyHelp = `Verify reads all that is cached on disk, or of the images that are named, and compares each
block with its checksum, and what is there whole with the hash that the service has of it.
What is wrong is dropped, and fetched again when it is read, or at once where the kernel reads
it directly for open files. It ends with exit code 1 if anything was.

IMAGE is a file in a mount, or an entry or id of the only mount; without a mount an id, or
its first digits (4 or more).`

func cacheVerifyCommand(std streams) *cobra.Command {
	var options optionFlags
	cmd := &cobra.Command{
		Use:     "verify [flags] [MOUNTPOINT | IMAGE…]",
		Short:   "Compare what is cached on disk with its checksums and hashes",
		Long:    cacheVerifyHelp,
		Example: "  imagefs cache verify ~/images\n  imagefs cache verify --cache-dir /var/cache/imagefs",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && !cmd.Flags().Changed(cacheFlag) {
				if t, ok := mountpoint(args[0]); ok {
					return attend(cmd.Context(), std, verifyInterrupted, t.asked(cacheVerifyPath, cacheQuestion{All: true}))
				}
			}
			return cacheWork(cmd, &options, std, args, cacheVerifyPath, verifyInterrupted, diskCache.verify)
		},
	}
	options.add(cmd, cacheFlag)
	return cmd
}

const verifyInterrupted = "what was found wrong by then is dropped"

// mountpoint finds the mount whose path the word is, as opposed to that of a file in it.
func mountpoint(word string) (t target, ok bool) {
	at, below, err := locate(word)
	if err != nil || below != "" {
		return target{}, false
	}
	t, err = findTarget(at)
	return t, err == nil && t.mount != nil
}

// cacheWork does something to the images that the words name, or to all.
func cacheWork(cmd *cobra.Command, options *optionFlags, std streams, words []string, path, interrupted string, do func(c diskCache, chosen []chosen) work) error {
	c, err := options.load()
	if err != nil {
		return err
	}
	works, err := cacheWorks(cmd, c, std, words, path, do)
	if err != nil {
		return err
	}
	return attend(cmd.Context(), std, interrupted, works...)
}

func cacheWorks(cmd *cobra.Command, c config.Config, std streams, words []string, path string, do func(c diskCache, chosen []chosen) work) ([]work, error) {
	idle := []work{idleWork(c, std, words, do)}
	if cmd.Flags().Changed(cacheFlag) {
		return idle, nil
	}
	if len(words) == 0 {
		t, ok, err := theMount()
		if err != nil || !ok {
			return idle, err
		}
		return []work{t.asked(path, cacheQuestion{All: true})}, nil
	}
	mounts, err := imagesOfMounts(cmd, words)
	if codeOf(err) == exitNotMounted {
		return idle, nil
	}
	var works []work
	for _, m := range mounts {
		works = append(works, m.mount.asked(path, cacheQuestion{Images: m.images}))
	}
	return works, err
}

// verify compares images with what is known of their bytes.
func (c diskCache) verify(all []chosen) work {
	return func(ctx context.Context, to workSink) error {
		bad := 0
		for _, image := range all {
			for _, l := range image.images {
				to.begin(image.name)
				found, err := c.store.Examine(ctx, l.Key, l.Size, to.moved)
				if err != nil {
					return err
				}
				if found.Damaged > 0 || found.Hash == disk.Wrong {
					bad++
				}
				line := image.name + ": " + foundIn(found)
				if found.Open > 0 {
					line += c.mended(ctx, l, found, to.moved)
				}
				if err := to.said(line); err != nil {
					return err
				}
			}
			if len(image.images) == 0 {
				if err := to.said(image.name + ": nothing of it is cached on disk"); err != nil {
					return err
				}
			}
		}
		if bad > 0 {
			return fail(exitInternal, "%d of %d images were damaged: what was wrong is dropped, and fetched again when it is read", bad, len(all))
		}
		return nil
	}
}

// mended fetches at once what the kernel reads directly and would not ask for, and tells
// what came of it.
func (c diskCache) mended(ctx context.Context, l disk.Listed, found disk.Examined, told func(done, total int64)) string {
	readers := openFiles(found.Open)
	if err := c.mend(ctx, l.Key, told); err != nil {
		return fmt.Sprintf(", NOT fetched again for %s: %s", readers, oneLine(err))
	}
	return ", fetched again for " + readers
}

func openFiles(n int) string {
	return english.Plural(n, "open file", "") + " that the kernel reads directly"
}

func foundIn(e disk.Examined) string {
	words := []string{humanize.Comma(e.Intact) + " blocks intact"}
	if e.Intact == 1 {
		words[0] = "1 block intact"
	}
	if e.Damaged > 0 {
		words = append(words, humanize.Comma(e.Damaged)+" DAMAGED and dropped")
	}
	switch e.Hash {
	case disk.Right:
		words = append(words, "whole, and has its hash")
	case disk.Wrong:
		words = append(words, "whole, and has NOT its hash: dropped")
	}
	if e.Lost > 0 {
		words = append(words, openFiles(e.Lost)+" KEEP what they have: close them")
	}
	return strings.Join(words, ", ")
}
