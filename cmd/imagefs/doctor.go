package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
)

const doctorHelp = `Doctor checks what a mount with the same flags would need, and prints a line for each:
FUSE and what the kernel offers, the local directories and their room, the service, the
credentials, the clocks, and whether the service serves parts of images. It changes
nothing, and makes a request for the first images, one for a byte of one of them, and one
for the hidden images: it names those that imagefs has begun and whose file is not here.

It ends with the exit code of the first thing that would keep the mount from working.`

func doctorCommand(std streams) *cobra.Command {
	var options optionFlags
	cmd := &cobra.Command{
		Use:     "doctor [flags]",
		Short:   "Check what a mount needs, and say what to do",
		Long:    doctorHelp,
		Example: "  imagefs doctor --cloud mycloud",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return options.run(cmd, func(ctx context.Context, c config.Config) error {
				d := doctor{out: std.Out}
				d.host(thisHost(), c)
				d.directories(c)
				d.service(ctx, c)
				return d.verdict()
			})
		},
	}
	options.addAll(cmd)
	return cmd
}

// doctor prints a line for each thing that it looks at.
type doctor struct {
	out    io.Writer
	outErr error // of the first line that could not be printed
	worst  error // the first finding that keeps a mount from working
}

// The words at the beginnings of the lines.
const (
	findingOK   = "ok"
	findingNote = "note" // works, and could be better
	findingBad  = "BAD"
)

func (d *doctor) line(finding, subject, format string, args ...any) {
	if _, err := fmt.Fprintf(d.out, "%-4s  %-9s  %s\n", finding, subject, fmt.Sprintf(format, args...)); err != nil && d.outErr == nil {
		d.outErr = err
	}
}

func (d *doctor) ok(subject, format string, args ...any) {
	d.line(findingOK, subject, format, args...)
}
func (d *doctor) note(subject, format string, args ...any) {
	d.line(findingNote, subject, format, args...)
}

// bad prints why a mount would not work; err says what to do.
func (d *doctor) bad(subject string, err error) {
	d.line(findingBad, subject, "%s", oneLine(err))
	if d.worst == nil {
		d.worst = err
	}
}

// verdict is the exit code; everything else has been said.
func (d *doctor) verdict() error {
	if d.worst != nil {
		return hush(d.worst)
	}
	return d.outErr
}
