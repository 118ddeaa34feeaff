package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

// trashEntry is one image in the trash as --json shows it. Its keys are a promise
// to scripts.
type trashEntry struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Size  int64     `json:"size"` // bytes
	Since time.Time `json:"since"`
	Why   string    `json:"why"`          // "removed" or "replaced"
	By    string    `json:"by,omitempty"` // id of the image that replaced it
	Until time.Time `json:"until"`
}

func trashListCommand(std streams) *cobra.Command {
	var asJSON bool
	var options optionFlags
	cmd := &cobra.Command{
		Use:     "list [flags]",
		Short:   "List the images in the trash, the oldest first",
		Long:    "List shows when and why each image was put into the trash, and until when it is kept.",
		Example: "  imagefs trash list --cloud mycloud\n  imagefs trash list --json | jq -r '.[].id'",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withService(cmd, &options, std, func(ctx context.Context, c *client.Client, _ config.Config) error {
				all, err := newTrash(c, 0, nil).List(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeTrashJSON(std.Out, all)
				}
				return writeTrash(std.Out, all)
			})
		},
	}
	options.add(cmd, whoAsks...)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

func writeTrashJSON(w io.Writer, all []image.Image) error {
	entries := make([]trashEntry, 0, len(all)) // none is [], not null
	for _, img := range all {
		why, _ := img.Trashed()
		e := trashEntry{ID: img.ID, Name: img.Name, Size: img.Size, Since: why.At, Why: "removed", By: why.By, Until: why.Until}
		if why.By != "" {
			e.Why = "replaced"
		}
		entries = append(entries, e)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(entries)
}

// writeTrash writes a table, or that there is nothing. Times are local.
func writeTrash(w io.Writer, all []image.Image) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "nothing in the trash")
		return err
	}
	const gap = 2 // columns between the longest cell and the next
	t := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	if _, err := fmt.Fprintln(t, "ID\tNAME\tSIZE\tSINCE\tDELETED AFTER\tWHY"); err != nil {
		return err
	}
	for _, img := range all {
		why, _ := img.Trashed()
		_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", img.ID, shownName(img), humanize.IBytes(uint64(img.Size)),
			why.At.Local().Format(time.DateTime), why.Until.Local().Format(time.DateTime), why.Why())
		if err != nil {
			return err
		}
	}
	return t.Flush()
}
