package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/config"
)

const cacheListHelp = `List shows the images of which there are blocks on disk, the last used first: how much of
each, and whether it is there whole and has been found to have its hash. Without a mount
nobody knows their names.

--json prints one object a line: service, id, entry (null where it is not known), size,
cached (bytes), verified (null: the service has no hash of it) and last_used.`

func cacheListCommand(std streams) *cobra.Command {
	var options optionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list [flags] [MOUNTPOINT]",
		Short:   "List the images that are cached on disk",
		Long:    cacheListHelp,
		Example: "  imagefs cache list ~/images\n  imagefs cache list --json | jq -r 'select(.cached == .size) | .id'",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show := func(all []cachedImage) error {
				if asJSON {
					return writeJSONLines(std.Out, all)
				}
				return writeCached(std.Out, all)
			}
			return ofCache(cmd, &options, args, func(ctx context.Context, t target) error {
				all, err := t.cached(ctx)
				if err != nil {
					return err
				}
				return show(all)
			}, func(_ context.Context, c config.Config) error {
				return inCaches(c, std, func(open []idleCache) error {
					var all []cachedImage
					for _, i := range open {
						all = append(all, i.list()...)
					}
					return show(all)
				})
			})
		},
	}
	options.add(cmd, cacheFlag)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// cachedImage is what is cached of one image, as cache list --json shows it. Its keys are a
// promise to scripts.
type cachedImage struct {
	Service  string    `json:"service"`
	ID       string    `json:"id"`
	Entry    *string   `json:"entry"`     // null: not known
	Size     int64     `json:"size"`      // bytes
	Cached   int64     `json:"cached"`    // bytes
	Verified *bool     `json:"verified"`  // null: there is no hash
	Used     time.Time `json:"last_used"` // in whole seconds
}

// list says what is cached.
func (c diskCache) list() []cachedImage {
	all := []cachedImage{}
	for _, l := range c.store.List() {
		all = append(all, c.cachedImage(l))
	}
	return all
}

func (c diskCache) cachedImage(l disk.Listed) cachedImage {
	i := cachedImage{Service: l.Key.Service, ID: l.Key.ID, Entry: known(c.entryOf(l.Key.ID)), Size: l.Size, Cached: l.Held, Used: l.Used.UTC()}
	if l.Hash.Value != "" {
		i.Verified = &l.Verified
	}
	return i
}

func writeCached(w io.Writer, all []cachedImage) error {
	const gap = 2 // columns between two
	t := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	if _, err := fmt.Fprintln(t, "ID\tCACHED\tSIZE\tPART\tVERIFIED\tLAST USED\tENTRY"); err != nil {
		return err
	}
	for _, i := range all {
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(i.ID), size(&i.Cached), size(&i.Size), share(&i.Cached, &i.Size),
			orElse(yes(i.Verified), "no hash"), humanize.Time(i.Used), cell(i.Entry)); err != nil {
			return err
		}
	}
	return t.Flush()
}
