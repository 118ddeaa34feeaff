package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
)

const warmHelp = `Warm loads images into the cache of a mount, so that whoever reads them does not wait
for the service. IMAGE is a file in a mount, or an entry or id of the only mount there is.
Of what the cache has already nothing is fetched. It returns when all is kept.

The mount's daemon does it, as if the file was read, but for the kernel's memory. Ctrl-C ends
it; what was loaded stays. Where the cache cannot hold all of it beside what is in use,
nothing is loaded. What is used less then goes first, as always.

--metadata loads what programs read to open a disk: the first and the last 128 KiB, and the
tables of a qcow2, VMDK, VHD, VHDX or VDI that its header names.`

func warmCommand(std streams) *cobra.Command {
	var head string
	var metadata bool
	cmd := &cobra.Command{
		Use:     "warm [flags] IMAGE…",
		Short:   "Load images into the cache",
		Long:    warmHelp,
		Example: "  imagefs warm ~/images/debian-13.qcow2\n  imagefs warm --head 64MiB ~/images/*.iso\n  imagefs warm --metadata ~/images/*.qcow2",
		Args:    atLeastOne("the image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := warmQuestion{Metadata: metadata}
			if cmd.Flags().Changed("head") {
				if metadata {
					return usageError(cmd, errors.New("--head and --metadata are both given: give one of them"))
				}
				var err error
				if q.Head, err = config.ParseSize(head); err != nil {
					return usageError(cmd, err)
				}
				if q.Head == 0 {
					return usageError(cmd, errors.New("--head 0: nothing would be loaded"))
				}
			}
			mounts, err := imagesOfMounts(cmd, args)
			if err != nil {
				return err
			}
			var works []work
			for _, m := range mounts {
				q := q
				q.Images = m.images
				works = append(works, m.mount.asked(warmPath, q))
			}
			return attend(cmd.Context(), std, "what was loaded stays in the cache", works...)
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "only the first `SIZE` of each image, as 64MiB")
	cmd.Flags().BoolVar(&metadata, "metadata", false, "only what programs read to open a disk")
	return cmd
}

// wanted is an image that somebody names: the entry of a mount or, where that is "", an id.
type wanted struct {
	Entry string `json:"entry,omitempty"`
	ID    string `json:"id,omitempty"`
}

func (w wanted) name() string { return orElse(w.Entry, w.ID) }

// imagesOfMount are images that are named of one mount.
type imagesOfMount struct {
	mount  target
	images []wanted
}

// imagesOfMounts finds the mounts of what the words name: files in a mount, or entries or
// ids of the only one.
func imagesOfMounts(cmd *cobra.Command, words []string) ([]imagesOfMount, error) {
	var found []imagesOfMount
	at := map[string]int{} // by mountpoint
	for _, word := range words {
		if word == "" {
			return nil, usageError(cmd, errors.New("the image is empty"))
		}
		t, entry, id, ok, err := inMount(word)
		if err == nil && !ok {
			entry, id = entryOrID(word)
			t, ok, err = theMount()
		}
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, fail(exitNotMounted, "%s: you have mounted nothing: see imagefs mount --help", word)
		}
		i, known := at[t.path]
		if !known {
			i = len(found)
			at[t.path] = i
			found = append(found, imagesOfMount{mount: t})
		}
		found[i].images = append(found[i].images, wanted{Entry: entry, ID: id})
	}
	return found, nil
}
