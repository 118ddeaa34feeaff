package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
)

const statusHelp = `Status asks the daemon of a mount what it is doing. It never touches the network,
nor the mount itself: it answers while the service is away. Where the daemon does not
answer within 5 seconds, it ends with exit code 21. MOUNTPOINT may be left out where
there is one mount.`

func statusCommand(std streams) *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:     "status [flags] [MOUNTPOINT]",
		Short:   "Show what a mount is doing",
		Long:    statusHelp,
		Example: "  imagefs status --watch ~/images\n  imagefs status --json ~/images | jq .uploads",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && watch {
				return usageError(cmd, errors.New("--json and --watch are both given: give one of them"))
			}
			t, err := statusTarget(args)
			if err != nil {
				return err
			}
			d, err := t.daemon(cmd.Context())
			if err != nil {
				return err
			}
			if watch {
				return t.watch(cmd.Context(), d, std.Out)
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
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again each second, until Ctrl-C")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// statusTarget is the mount that is named, or the only one.
func statusTarget(args []string) (target, error) {
	if len(args) > 0 {
		return findTarget(args[0])
	}
	t, ok, err := theMount()
	if err == nil && !ok {
		err = fail(exitNotMounted, "you have mounted nothing: see imagefs mount --help")
	}
	return t, err
}

// noDaemon says that the mount is there and nobody serves it, or answers this user.
func (t target) noDaemon(err error) error {
	if uid := os.Geteuid(); uid != 0 && t.owner() != uid {
		return fail(exitMountDenied, "%s was mounted by uid %d: only they and root may ask its daemon", t.path, t.owner())
	}
	return fail(exitNoDaemon, "%s: %w: if it was killed or is stuck, run imagefs unmount --force %s", t.path, err, t.path)
}
