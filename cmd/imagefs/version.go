package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=1.2.3. A build without it takes
// the module's version, which go install sets.
var version = ""

// buildVersion returns version and commit of this program.
func buildVersion() (release, commit string) {
	release, commit = version, "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return orElse(release, "devel"), commit
	}
	if release == "" && info.Main.Version != "(devel)" {
		release = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.modified" && s.Value == "true" {
			commit += " with changes"
		}
	}
	return orElse(release, "devel"), commit
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func versionCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			release, commit := buildVersion()
			_, err := fmt.Fprintf(std.Out, "imagefs %s\ncommit  %s\ngo      %s %s/%s\n",
				release, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
