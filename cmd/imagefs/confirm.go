package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// confirm asks whether what is named may be deleted, each with a line of its own above
// the question where there are lines. No is an error.
func confirm(ctx context.Context, std streams, what string, lines ...string) error {
	f, ok := std.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return fail(exitUsage, "%s would be deleted for good, and nobody can be asked: give --yes", what)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(std.Err, "  %s\n", line); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(std.Err, "Delete %s for good? [y/N] ", what); err != nil {
		return err
	}
	if err := typed(ctx, f); err != nil {
		return err
	}
	answer := make([]byte, maxReply)
	n, err := f.Read(answer)
	if err != nil && !errors.Is(err, io.EOF) {
		return fail(exitInternal, "no answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(string(answer[:n]))) {
	case "y", "yes":
		return nil
	}
	return fail(exitInternal, "nothing was deleted")
}

// countOf is "1 image of 2 GiB".
func countOf(n int, what string, total int64) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s of %s", n, what, humanize.IBytes(uint64(total)))
}

const (
	maxReply = 256                    // bytes: more than any answer has
	lookPoll = 200 * time.Millisecond // how late Ctrl-C is noticed at most
)

// typed waits until a line has been typed at the terminal, or ctx ends: a read could
// not be ended.
func typed(ctx context.Context, terminal *os.File) error {
	fds := []unix.PollFd{{Fd: int32(terminal.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(lookPoll.Milliseconds()))
		switch {
		case ctx.Err() != nil:
			return fail(exitInterruptedBy, "interrupted: nothing was deleted")
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fail(exitInternal, "the terminal cannot be read: %w", err)
		}
	}
}
