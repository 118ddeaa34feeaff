package page

import (
	"context"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "a directory for pictures of the page as the tests see it")

// patience bounds what a test asks of the browser: on a busy machine that takes seconds.
const patience = 2 * time.Minute

// lastWords are what a test says on the console, so that it knows that it has read all of it.
const lastWords = "the test has ended"

// tab is a page in the browser.
type tab struct {
	*testing.T
	ctx     context.Context
	console iter.Seq2[chromedp.ConsoleMessage, error]
}

// open shows an address, on a screen so wide.
func open(t *testing.T, url string, width int64) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	p := tab{T: t, ctx: ctx, console: chromedp.Console(ctx)}
	p.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(url))
	return p
}

func (p tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatal(err)
	}
}

// ask evaluates an expression in the page.
func ask[T any](p tab, expression string) T {
	p.Helper()
	return result(p, chromedp.Evaluate[T](expression))
}

// wait waits until an expression holds in the page.
func (p tab) wait(expression string) {
	p.Helper()
	result(p, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0)))
}

func result[T any](p tab, a chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, a)
	if err != nil {
		p.Fatal(err)
	}
	return value
}

// prefers sets one of the media features prefers-….
func (p tab) prefers(what, value string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-" + what, Value: value}},
		})
		return err
	}))
}

// quiet fails where the page has complained on its console: errors of its own, and what its
// policy refused.
func (p tab) quiet() {
	p.Helper()
	ask[any](p, "console.log("+quote(lastWords)+")")
	for m, err := range p.console {
		if err != nil {
			p.Fatal(err)
		}
		if m.Text == lastWords {
			return
		}
		p.Errorf("the console: %s", m)
	}
}

// picture keeps what is seen, where somebody wants to look.
func (p tab) picture(name string) {
	p.Helper()
	if *screenshots != "" {
		p.save(filepath.Join(*screenshots, name+".png"))
	}
}

func (p tab) save(path string) {
	p.Helper()
	if err := os.WriteFile(path, result(p, chromedp.FullScreenshot(100)), 0o644); err != nil {
		p.Fatal(err)
	}
}
