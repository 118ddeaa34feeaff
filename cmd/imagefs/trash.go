package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

const trashHelp = `Trash shows and settles what mounts with --trash have hidden instead of deleted:
images that were removed, overwritten or renamed over. It asks the service itself
and needs no mount. Only images of your own project are shown.

IMAGE is an id, the beginning of one, or a name, as "imagefs trash list" shows them.`

func trashCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash",
		Short: "Show, restore and delete removed and replaced images",
		Long:  trashHelp,
		Args:  unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError(cmd, errors.New("list, restore or empty is missing"))
		},
	}
	cmd.AddCommand(trashListCommand(std), trashRestoreCommand(std), trashEmptyCommand(std))
	return cmd
}

// choose finds the images in the trash that the words mean: each an id, a name or
// entry, or the beginning of an id. A word that means none, or several, is an error
// before anything is changed.
func choose(trash []image.Image, words []string) ([]image.Image, error) {
	var chosen []image.Image
	seen := map[string]bool{}
	for _, word := range words {
		img, err := meant(trash, word)
		if err != nil {
			return nil, err
		}
		if !seen[img.ID] {
			seen[img.ID] = true
			chosen = append(chosen, img)
		}
	}
	return chosen, nil
}

func meant(trash []image.Image, word string) (image.Image, error) {
	for _, matches := range []func(image.Image) bool{
		func(img image.Image) bool { return img.ID == strings.ToLower(word) },
		func(img image.Image) bool { return img.Name == word || shownName(img) == word },
		func(img image.Image) bool { return word != "" && strings.HasPrefix(img.ID, strings.ToLower(word)) },
	} {
		var found []image.Image
		for _, img := range trash {
			if matches(img) {
				found = append(found, img)
			}
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			ids := make([]string, len(found))
			for i, img := range found {
				ids[i] = img.ID
			}
			return image.Image{}, fail(exitUsage, "%q is several images in the trash: name one of %s", word, strings.Join(ids, ", "))
		}
	}
	return image.Image{}, fail(exitNoImage, "no image in the trash is %q: see imagefs trash list", word)
}

// shownName is an image's name as a terminal may show it.
func shownName(img image.Image) string { return catalog.EntryName(img.Name, img.ID) }

// each runs do for all images, prints what was done, and goes on where one of them
// is refused: that is printed, too, and the first one's cause is the exit code.
func each(std streams, images []image.Image, done string, do func(image.Image) error) error {
	var first error
	for _, img := range images {
		err := do(img)
		if err == nil {
			if _, err = fmt.Fprintf(std.Out, "%s %s %s\n", done, img.ID, shownName(img)); err != nil {
				return err
			}
			continue
		}
		switch image.KindOf(err) {
		case image.Protected, image.Busy, image.Stale, image.NotFound, image.Forbidden, image.Quota: // of this image alone
			if _, printErr := fmt.Fprintf(std.Err, "imagefs: %s\n", oneLine(err)); printErr != nil {
				return printErr
			}
			if first == nil {
				first = &failure{code: exitInternal, err: errReported}
			}
		default:
			return err
		}
	}
	return first
}
