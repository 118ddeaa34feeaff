package main

import (
	"context"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/metrics"
)

const cacheStatsHelp = `Stats shows how much there is on disk and, of a mount, where the blocks came from that were
read since it began. Without a mount there is a section for each service.

--json prints one object a line: dir, service, bytes, limit_bytes, images, whole_images,
verified_images, left_alone_images, and cache, which is that of imagefs status --json. null
is what only a mount knows.`

func cacheStatsCommand(std streams) *cobra.Command {
	var options optionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "stats [flags] [MOUNTPOINT]",
		Short:   "Show how much is cached, and what it was good for",
		Long:    cacheStatsHelp,
		Example: "  imagefs cache stats ~/images",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			show := func(all ...cacheStats) error {
				if asJSON {
					return writeJSONLines(std.Out, all)
				}
				return writeCacheStats(std.Out, all)
			}
			return ofCache(cmd, &options, args, func(ctx context.Context, t target) error {
				s, err := t.cacheStats(ctx)
				if err != nil {
					return err
				}
				return show(s)
			}, func(_ context.Context, c config.Config) error {
				return inCaches(c, std, func(open []idleCache) error {
					var all []cacheStats
					for _, i := range open {
						all = append(all, i.stats())
					}
					return show(all...)
				})
			})
		},
	}
	options.add(cmd, cacheFlag)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// cacheStats sums up one cache, as cache stats --json shows it. Its keys are a promise to
// scripts.
type cacheStats struct {
	Dir      string         `json:"dir"`
	Service  *string        `json:"service"` // null: nothing tells
	Bytes    int64          `json:"bytes"`   // on disk
	Limit    *int64         `json:"limit_bytes"`
	Images   int            `json:"images"`
	Whole    int            `json:"whole_images"`
	Verified int            `json:"verified_images"` // are whole, and have had their hash
	Left     *int           `json:"left_alone_images"`
	Cache    *metrics.Cache `json:"cache"` // null without a mount
}

// count counts the images.
func (s *cacheStats) count(all []cachedImage) {
	s.Images = len(all)
	for _, i := range all {
		if i.Cached == i.Size {
			s.Whole++
		}
		if valueOf(i.Verified) {
			s.Verified++
		}
		s.Service = &i.Service
	}
}

func (i idleCache) stats() cacheStats {
	n := i.store.Stats()
	s := cacheStats{Dir: i.dir, Bytes: n.Bytes, Left: &n.Left}
	s.count(i.list())
	return s
}

// cacheStats asks the mount's daemon.
func (t target) cacheStats(ctx context.Context) (cacheStats, error) {
	all, err := t.cached(ctx)
	if err != nil {
		return cacheStats{}, err
	}
	d, err := t.daemon(ctx)
	if err != nil {
		return cacheStats{}, err
	}
	now, err := d.ask(ctx)
	if err != nil {
		return cacheStats{}, t.noDaemon(err)
	}
	s := cacheStats{Cache: &now.Cache}
	s.count(all)
	s.Service = &now.Service.URL
	if disk := now.Cache.Disk; disk != nil {
		s.Dir, s.Bytes, s.Limit = disk.Dir, disk.Bytes, &disk.Limit
	}
	return s, nil
}

func writeCacheStats(w io.Writer, all []cacheStats) error {
	for n, s := range all {
		if n > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := writeFacts(w, s.facts()); err != nil {
			return err
		}
	}
	return nil
}

func (s cacheStats) facts() [][2]string {
	onDisk := size(&s.Bytes)
	if s.Limit != nil {
		onDisk += " of " + size(s.Limit)
	}
	facts := [][2]string{
		{"directory", s.Dir}, {"service", valueOf(s.Service)}, {"on disk", onDisk},
		{"images", fmt.Sprintf("%d, %d of them whole, %d verified", s.Images, s.Whole, s.Verified)},
	}
	if n := valueOf(s.Left); n > 0 {
		facts = append(facts, [2]string{"left alone", fmt.Sprintf("%d, of another version of imagefs, or unreadable", n)})
	}
	c := s.Cache
	if c == nil || c.Disk == nil {
		return facts
	}
	number := humanize.Comma
	return append(facts,
		[2]string{"in memory", size(&c.Bytes) + " of " + size(&c.Limit)},
		[2]string{"blocks read", fmt.Sprintf("%s from memory, %s from disk, %s fetched or waited for", number(c.Hits), number(c.Disk.Hits), number(c.Misses))},
		[2]string{"fetched", size(&c.Fetched)},
		[2]string{"evicted", number(c.Disk.Evicted) + " blocks"},
		[2]string{"damaged", fmt.Sprintf("%s blocks, and %s images without their hash", number(c.Disk.Damaged), number(c.Disk.Mismatched))},
	)
}
