package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

const stagedListHelp = `List shows the drafts in the staging directory: id, state, size, age and name, what
a person has to know about it, and where its bytes are. It asks neither a service nor
a mount. --cloud and --endpoint show only those of mounts of that cloud or service.

  open        being written when its daemon was killed
  committing, created, uploaded, visible
              its close had begun; the next mount, or retry, goes on
  failed      its close failed
  abandoned   its writer was killed
  in use      a mount has it open or uploads it
  damaged     its journal or its bytes cannot be used; only discard takes it, by its ID
  newer       a later version of imagefs wrote its journal; only that one takes it`

func stagedListCommand(std streams) *cobra.Command {
	var options optionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list [flags]",
		Short:   "List files that were not uploaded",
		Long:    stagedListHelp,
		Example: "  imagefs staged list\n  imagefs staged list --json | jq '.[].path'",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := options.load()
			if err != nil {
				return err
			}
			all, err := survey(c)
			if err != nil {
				return err
			}
			shown := []metrics.Kept{}
			for _, k := range all {
				// Not what $OS_CLOUD says: that is for commands that ask the service.
				if !cmd.Flags().Changed("cloud") || k.Cloud == c.Cloud {
					if !cmd.Flags().Changed("endpoint") || isAt(k.Service, c.Endpoint) {
						shown = append(shown, toKept(k, time.Now()))
					}
				}
			}
			if !asJSON {
				return metrics.WriteKept(std.Out, shown)
			}
			encoder := json.NewEncoder(std.Out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(shown)
		},
	}
	options.add(cmd, "staging-dir", "cloud", "endpoint")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

// isAt reports whether a service is at the URL that a user knows it by, which may
// leave out the version.
func isAt(service, endpoint string) bool {
	return service == endpoint || strings.HasPrefix(service, strings.TrimRight(endpoint, "/")+"/")
}

func toKept(k staging.Record, now time.Time) metrics.Kept {
	kept := metrics.Kept{
		ID: k.Draft, Name: k.Name, State: stateOf(k), Reason: reasonOf(k), Size: k.Size, Stored: k.Stored,
		Created: k.CreatedAt, Updated: k.UpdatedAt, Path: k.Path, Base: k.Base, Image: k.Image, Uncertain: k.Uncertain,
		Service: k.Service, Cloud: k.Cloud, Project: k.Project,
	}
	if !k.UpdatedAt.IsZero() { // a journal that cannot be read has none
		kept.Age = max(now.Sub(k.UpdatedAt).Seconds(), 0)
	}
	return kept
}
