package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// workBar shows work on a terminal, a bar for each image, and what came of it on stdout.
type workBar struct {
	std      streams
	terminal bool // stderr is one
	name     string
	bar      *progressbar.ProgressBar // nil: none is shown
}

// mostLabel, in characters, is how much of a name is beside a bar: enough of it is left in
// 80 columns.
const mostLabel = 28

func (b *workBar) begin(name string) {
	b.clear()
	b.name = plain(name)
}

func (b *workBar) moved(done, total int64) {
	if !b.terminal || total <= 0 {
		return
	}
	done = max(0, min(done, total)) // it may be another user's daemon that says so
	if b.bar != nil && total < b.bar.GetMax64() {
		b.clear()
	}
	if b.bar == nil {
		label := []rune(b.name)
		if len(label) > mostLabel {
			label = append(label[:mostLabel-1], '…')
		}
		b.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(b.std.Err), progressbar.OptionSetDescription(string(label)), progressbar.OptionFullWidth(),
			progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionUseIECUnits(true),
			progressbar.OptionThrottle(drawEvery/2), progressbar.OptionUseANSICodes(true), progressbar.OptionClearOnFinish())
		_ = b.bar.RenderBlank() // its time begins
	}
	// Nothing depends on the bar, so that errors of the terminal are of no interest.
	if b.bar.GetMax64() != total {
		b.bar.ChangeMax64(total)
	}
	_ = b.bar.Set64(done)
}

func (b *workBar) said(line string) error {
	b.clear()
	_, err := fmt.Fprintln(b.std.Out, plain(line))
	return err
}

// clear takes the bar away.
func (b *workBar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
		b.bar = nil
	}
}

// attend does the works one after the other and shows how that goes, until they or the user
// end them; then the message says what has become of it.
func attend(ctx context.Context, std streams, interrupted string, works ...work) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	bar := &workBar{std: std}
	if f, ok := std.Err.(*os.File); ok {
		bar.terminal = term.IsTerminal(int(f.Fd()))
	}
	defer bar.clear()
	for _, do := range works {
		err := do(ctx, bar)
		switch {
		case ctx.Err() != nil:
			return fail(exitInterruptedBy, "interrupted: %s", interrupted)
		case err != nil:
			return err
		}
	}
	return nil
}
