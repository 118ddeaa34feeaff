package main

import "github.com/spf13/cobra"

const statusHelp = `Status asks the daemon of a mount what it is doing. It never touches the network,
nor the mount itself: it answers while the service is away. Where the daemon does not
answer within 5 seconds, it ends with exit code 21.`

func statusCommand(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status [flags] MOUNTPOINT",
		Short:   "Show what a mount is doing",
		Long:    statusHelp,
		Example: "  imagefs status ~/images\n  imagefs status --json ~/images | jq .uploads",
		Args:    exactly(1, "the mountpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := findTarget(args[0])
			if err != nil {
				return err
			}
			d, err := t.daemon(cmd.Context())
			if err != nil {
				return err
			}
			s, err := d.ask(cmd.Context())
			if err != nil {
				return t.noDaemon(err)
			}
			if !asJSON {
				return s.WriteText(std.Out)
			}
			return writeJSON(std.Out, s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// noDaemon says that the mount is there and nobody serves it.
func (t target) noDaemon(err error) error {
	return fail(exitNoDaemon, "%s: %w: if it was killed or is stuck, run imagefs unmount --force %s", t.path, err, t.path)
}
