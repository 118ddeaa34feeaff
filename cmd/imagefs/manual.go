package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// manualCommand writes the man pages that packages carry. People read them with man, so
// that it is not in the help.
func manualCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "manual DIR",
		Short:  "Write the man pages of every command into DIR",
		Hidden: true,
		Args:   exactly(1, "the directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fail(exitLocalDir, "%w", err)
			}
			forEveryHost(cmd.Root())
			// The date is that of $SOURCE_DATE_EPOCH, so that two builds are equal.
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Title: "IMAGEFS", Section: "1", Source: "imagefs", Manual: "imagefs"}, args[0])
		},
	}
}

// plainText keeps what are signs of Markdown to the generator; indented lines are not.
var plainText = strings.NewReplacer("_", `\_`, "*", `\*`, "<", `\<`)

// forEveryHost makes defaults that depend on who asks the same for all, and the texts what
// the generator reads.
func forEveryHost(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // it carries the day
	defaults := map[string]string{
		"cache-dir":   "~/.cache/imagefs; root: /var/cache/imagefs",
		"staging-dir": "~/.local/state/imagefs/staging; root: /var/lib/imagefs/staging",
	}
	lines := strings.Split(cmd.Long, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "  ") {
			lines[i] = plainText.Replace(line)
		}
	}
	cmd.Long = strings.Join(lines, "\n")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Usage = plainText.Replace(f.Usage)
		if all, ok := defaults[f.Name]; ok {
			f.DefValue = all
		}
	})
	for _, sub := range cmd.Commands() {
		forEveryHost(sub)
	}
}
