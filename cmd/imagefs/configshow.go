package main

import (
	"errors"

	"github.com/spf13/cobra"
)

const configShowHelp = `Show prints the configuration that imagefs mount would use with the same flags, as a
file that --config takes, and where each value comes from: the default, a line of the
file, a variable, or a flag. It makes no request. A token is not shown.`

func configCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration in force",
		Args:  unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError(cmd, errors.New("show is missing"))
		},
	}
	cmd.AddCommand(configShowCommand(std))
	return cmd
}

func configShowCommand(std streams) *cobra.Command {
	var options optionFlags
	cmd := &cobra.Command{
		Use:     "show [flags]",
		Short:   "Print every option, its value, and where it comes from",
		Long:    configShowHelp,
		Example: "  imagefs config show --config /etc/imagefs/images.yaml",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			c, origins, err := options.resolve()
			if err != nil {
				return err
			}
			return c.Write(std.Out, origins)
		},
	}
	options.addAll(cmd)
	return cmd
}
