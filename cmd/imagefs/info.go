package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

const infoHelp = `Info shows what one image is. IMAGE is a file in a mount, or an entry or id: of the
service with --cloud or --endpoint, else of the only mount there is.

Of a mount it asks the daemon, which also knows how much of the image its cache holds.
--json prints the keys of imagefs ls --json, and more.`

func infoCommand(std streams) *cobra.Command {
	var options optionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info [flags] IMAGE",
		Short: "Show what one image is",
		Long:  infoHelp,
		Example: `  imagefs info ~/images/debian-13.qcow2
  imagefs info --cloud mycloud debian-13.qcow2
  imagefs info --json ~/images/debian-13.qcow2 | jq -r .id`,
		Args: exactly(1, "the image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := findImage(cmd, &options, std, args[0])
			switch {
			case image.Is(err, image.NotFound):
				return fail(exitNoImage, "%w: see imagefs ls", err)
			case err != nil:
				return err
			case asJSON:
				return writeJSON(std.Out, d)
			}
			return writeInfo(std.Out, d)
		},
	}
	options.add(cmd, whoAsks...)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// findImage asks a mount or the service what the word stands for.
func findImage(cmd *cobra.Command, options *optionFlags, std streams, word string) (d described, err error) {
	if word == "" {
		return d, usageError(cmd, errors.New("the image is empty"))
	}
	if !isDirect(cmd) {
		t, entry, id, ok, err := inMount(word)
		if err == nil && !ok {
			t, ok, err = theMount()
			entry, id = entryOrID(word)
		}
		if err != nil {
			return d, err
		}
		if ok {
			return infoOfMount(cmd, t, entry, id)
		}
	}
	err = withCatalog(cmd, options, std, func(ctx context.Context, c *catalog.Catalog) error {
		entry, id := entryOrID(word)
		d, err = describe(ctx, c, entry, id, uncached)
		if image.Is(err, image.NotFound) {
			return &failure{code: exitNoImage, err: err}
		}
		return err
	})
	return d, err
}

// entryOrID takes what looks like an id for one.
func entryOrID(word string) (entry, id string) {
	if u, err := uuid.Parse(word); err == nil && u.String() == strings.ToLower(word) {
		return "", word
	}
	return word, ""
}

func infoOfMount(cmd *cobra.Command, t target, entry, id string) (described, error) {
	found, err := t.daemon(cmd.Context())
	if err != nil {
		return described{}, err
	}
	d, err := found.entry(cmd.Context(), entry, id)
	var known *failure
	switch {
	case err == nil, errors.As(err, &known):
		return d, err
	case cmd.Context().Err() != nil:
		return d, fail(exitInterruptedBy, "interrupted")
	}
	return d, t.noDaemon(err)
}

// writeInfo prints what is known of an image.
func writeInfo(w io.Writer, d described) error {
	return writeFacts(w, facts(d))
}

// writeFacts prints one fact a line; what is not known is left out.
func writeFacts(w io.Writer, facts [][2]string) error {
	const gap = 2 // columns between the names and the values
	t := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	for _, fact := range facts {
		if fact[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(t, "%s\t%s\n", plain(fact[0]), plain(fact[1])); err != nil {
			return err
		}
	}
	return t.Flush()
}

// facts are names and values; "" is not known. Times are local.
func facts(d described) [][2]string {
	all := [][2]string{
		{"entry", d.Entry}, {"id", valueOf(d.ID)}, {"name", valueOf(d.Name)}, {"draft", valueOf(d.Draft)},
		{"status", valueOf(d.Status)}, {"visibility", valueOf(d.Visibility)}, {"owner", valueOf(d.Owner)},
		{"disk format", valueOf(d.DiskFormat)}, {"container format", valueOf(d.ContainerFormat)},
		{"size", exactSize(d.Size)}, {"virtual size", exactSize(d.VirtualSize)}, {"cached", cachedText(d.Cached, d.Size)},
		{"tags", strings.Join(d.Tags, ", ")}, {"protected", yes(d.Protected)}, {"hidden", yes(d.Hidden)},
		{"min disk", inUnits(d.MinDisk, "GiB")}, {"min ram", inUnits(d.MinRAM, "MiB")},
		{"created", local(d.CreatedAt)}, {"updated", local(d.UpdatedAt)},
		{"checksum", valueOf(d.Checksum)}, {orElse(valueOf(d.HashAlgo), "hash"), valueOf(d.HashValue)},
		{"stores", strings.Join(d.Stores, ", ")},
	}
	for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
		all = append(all, [2]string{"property " + name, orDash(d.Properties[name])})
	}
	return all
}

func exactSize(bytes *int64) string {
	if bytes == nil {
		return ""
	}
	return fmt.Sprintf("%s (%d bytes)", humanize.IBytes(uint64(*bytes)), *bytes)
}

func cachedText(part, whole *int64) string {
	if part == nil || whole == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s", size(part), share(part, whole))
}

func yes(p *bool) string {
	switch {
	case p == nil:
		return ""
	case *p:
		return "yes"
	}
	return "no"
}

func inUnits(n *int64, unit string) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10) + " " + unit
}

func local(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
