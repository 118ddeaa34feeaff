package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

const lsHelp = `Ls lists the entries of a mount and what they stand for. It asks the mount's daemon,
which answers from what it knows, also while the service is away. MOUNTPOINT is not
needed where there is one mount only. With --cloud or --endpoint, or where there is no
mount, it asks the service itself, and shows the entries that a mount would have.

The options that choose images choose of a mount those that it shows. Where a service
has more than 5000 images, the first lines come before the last page of its listing:
then an entry may turn out to be another image's, and both come again at the end. The
last line of an id counts.

--json prints one object a line: entry, id, name, status, visibility, disk_format, size,
virtual_size, owner, tags, cached (the bytes that the mount's cache holds) and draft (the
id of what is being written there). null is what is not known.`

// others are the options of a filter that show more than a mount does.
func others() []string { return []string{"hidden", "community", "member-status"} }

func lsCommand(std streams) *cobra.Command {
	var options optionFlags
	var long, asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [flags] [MOUNTPOINT]",
		Short: "List entries and what they stand for",
		Long:  lsHelp,
		Example: `  imagefs ls --long ~/images
  imagefs ls --cloud mycloud --tag ready --format qcow2
  imagefs ls --json | jq -r 'select(.size > 1e10) | .entry'`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			direct := isDirect(cmd)
			if direct && len(args) > 0 {
				return usageError(cmd, errors.New("a mountpoint and a service are both given: give one of them"))
			}
			out := &outlet{listedPrinter: newEntryLines(std.Out)}
			switch {
			case asJSON:
				out.listedPrinter = newJSONLines(std.Out)
			case long:
				out.listedPrinter = newEntryTable(std.Out)
			}
			t, mounted, err := target{}, false, error(nil)
			switch {
			case len(args) > 0:
				mounted = true
				t, err = findTarget(args[0])
			case !direct:
				t, mounted, err = theMount()
			}
			switch {
			case err != nil:
				return err
			case !mounted:
				return listService(cmd, &options, std, out)
			}
			for _, name := range others() {
				if cmd.Flags().Changed(name) {
					return usageError(cmd, fmt.Errorf("--%s: a mount shows what it was told to when it was mounted: give --cloud or --endpoint, or leave it out", name))
				}
			}
			return listMount(cmd, &options, std, t, out)
		},
	}
	options.add(cmd, append(append([]string{}, whoAsks...), config.FilterNames()...)...)
	cmd.Flags().BoolVarP(&long, "long", "l", false, "print a table with what is known")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// listMount prints what a mount shows.
func listMount(cmd *cobra.Command, options *optionFlags, std streams, t target, out *outlet) error {
	return options.run(cmd, func(ctx context.Context, c config.Config) error {
		d, err := t.daemon(ctx)
		if err != nil {
			return err
		}
		f := c.Filter
		f.Hidden, f.Community = true, true // the mount has chosen
		warning, err := d.entries(ctx, listedSink{
			entry: func(l listed) error {
				if !chooses(f, l) {
					return nil
				}
				return out.print(l)
			},
			pause: out.pause,
		})
		var known *failure
		switch {
		case ctx.Err() != nil:
			return fail(exitInterruptedBy, "interrupted")
		case err != nil && out.failed == nil && !errors.As(err, &known):
			err = t.noDaemon(err)
		}
		if err = out.finish(err); err == nil && warning != "" {
			err = printNotes(std, []string{oneLine(errors.New(warning))})
		}
		return err
	})
}

// chooses reports whether a filter shows an entry of a mount.
func chooses(f image.Filter, l listed) bool {
	img := image.Image{
		Visibility: image.Visibility(valueOf(l.Visibility)), Owner: valueOf(l.Owner), Tags: l.Tags, Name: valueOf(l.Name),
		Status: image.Status(valueOf(l.Status)), DiskFormat: valueOf(l.DiskFormat),
	}
	if l.ID == nil { // a draft: it has a name, and nothing else yet
		img.Name, _ = catalog.ImageName(l.Entry) // an entry that none has names none
	}
	return f.Shows(&img, "")
}

// listService prints what a mount of the service would show.
func listService(cmd *cobra.Command, options *optionFlags, std streams, out *outlet) error {
	return withCatalog(cmd, options, std, func(ctx context.Context, c *catalog.Catalog) error {
		err := eachEntry(ctx, c, heldBack, entrySink{
			entry: func(e catalog.Entry) error { return out.print(listedOf(e, uncached)) },
			pause: out.pause,
		})
		return out.finish(err)
	})
}

// withCatalog runs do with a catalog of the service, without a mount, with the entries
// that a mount with the same options would have.
func withCatalog(cmd *cobra.Command, options *optionFlags, std streams, do func(ctx context.Context, c *catalog.Catalog) error) error {
	return orNoMount(cmd, withService(cmd, options, std, func(ctx context.Context, service *client.Client, opts config.Config) error {
		c := catalog.New(catalog.Options{
			Lister: lister{service, opts.Filter}, Records: service, Remover: newTrash(service, 0, nil), Sharer: service,
			Project: service.Project(), Filter: opts.Filter, Now: service.Now,
			TTL: config.MaxListTTL, // it is asked once
		})
		defer c.Close()
		return do(ctx, c)
	}))
}

// isDirect reports whether the command line names the service to ask.
func isDirect(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("cloud") || cmd.Flags().Changed("endpoint")
}

// orNoMount adds to the error that no service is known that there is no mount either,
// which would have been asked.
func orNoMount(cmd *cobra.Command, err error) error {
	if codeOf(err) == exitCloud && !isDirect(cmd) {
		return fail(exitCloud, "you have no mount, and %w", err)
	}
	return err
}

// valueOf is the zero value for what is not known.
func valueOf[T any](p *T) T {
	if p == nil {
		var unknown T
		return unknown
	}
	return *p
}
