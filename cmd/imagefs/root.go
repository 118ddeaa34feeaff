package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// streams are the standard files of the process.
type streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

const rootHelp = `imagefs mounts an OpenStack Image service (Glance, API v2) as a directory.

Each image is a file: ls lists images, reading fetches only the bytes asked for,
a new file becomes an image when it is closed, mv renames the image, rm deletes it.

  mkdir -p ~/images
  imagefs mount --cloud mycloud ~/images
  qemu-img info ~/images/debian-13.qcow2
  imagefs unmount ~/images

Without a cloud at hand: imagefs demo`

// run is the whole program: it returns the exit code and prints an error as one
// line.
func run(ctx context.Context, args []string, std streams) int {
	root := newRoot(std)
	root.SetArgs(args)
	return std.tell(root.ExecuteContext(ctx))
}

// tell prints an error, nil for none, as one line and returns its exit code.
func (std streams) tell(err error) int {
	if err != nil && !errors.Is(err, errReported) {
		// A closed stderr leaves nobody to tell; the exit code still does.
		_, _ = fmt.Fprintf(std.Err, "imagefs: %s\n", oneLine(err))
	}
	return int(codeOf(err))
}

// errReported marks a failure that has been printed already.
var errReported = errors.New("already reported")

func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "imagefs",
		Short:         "Mount an OpenStack Image service as a directory",
		Long:          rootHelp,
		Args:          unknownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, "no command given: see imagefs --help")
		},
	}
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetFlagErrorFunc(usageError)
	root.AddCommand(
		mountCommand(std), daemonCommand(std), unmountCommand(std), lsCommand(std), infoCommand(std), warmCommand(std), cacheCommand(std), statusCommand(std), stagedCommand(std), trashCommand(std), configCommand(std), doctorCommand(std),
		serveCommand(std), demoCommand(std), versionCommand(std), manualCommand(), exitCodesTopic(),
	)
	return root
}

// usageError gives a mistake on the command line its code and points to the
// help.
func usageError(cmd *cobra.Command, err error) error {
	return fail(exitUsage, "%w: see %s --help", err, cmd.CommandPath())
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("unknown command %q", args[0]))
	}
	return nil
}

// exactly is cobra.ExactArgs with our words.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usageError(cmd, fmt.Errorf("%s is missing", what))
		case len(args) > n:
			return usageError(cmd, fmt.Errorf("unexpected argument %q", args[n]))
		}
		return nil
	}
}

// atLeastOne is cobra.MinimumNArgs(1) with our words.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError(cmd, fmt.Errorf("%s is missing", what))
		}
		return nil
	}
}

// atMost is cobra.MaximumNArgs with our words.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError(cmd, fmt.Errorf("unexpected argument %q", args[n]))
		}
		return nil
	}
}

// exitCodesTopic is `imagefs help exit-codes`.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Every error is one line on stderr that says what to do, and one of these codes:\n\n")
	for _, m := range exitTable() {
		text := m.Cause
		if m.Do != "" {
			text += ": " + m.Do
		}
		fmt.Fprintf(&b, "  %3d  %s\n", m.Code, text)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: strings.TrimRight(b.String(), "\n")}
}
