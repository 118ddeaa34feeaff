package page

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/web"
)

// hostile is the name that another project gave to its image. Were it markup, the page
// would have another title.
const hostile = `<img src=x onerror="document.title='owned'">`

func quote(s string) string { return strconv.Quote(s) }

// mount serves the page of a mount that is at work: each time that it is asked it has moved.
// end, which may be called, ends it.
func mount(t *testing.T) (url string, end func()) {
	t.Helper()
	var asked atomic.Int64
	s, err := web.Listen(t.Context(), web.Options{
		Address:  "127.0.0.1:0",
		Snapshot: func() metrics.Snapshot { return atWork(asked.Add(1)) },
		Blocks:   func() metrics.Blocks { return blocks(asked.Load()) },
		Metrics:  http.NotFoundHandler(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return s.URL(), end
}

func atWork(at int64) metrics.Snapshot {
	age := 3.0
	return metrics.Snapshot{
		Mountpoint: "/srv/images", PID: 4711, Version: "1.2.3", Uptime: 3600 + float64(at), State: metrics.StateMounted,
		Service: metrics.Service{URL: "https://glance.example/image", Trouble: []metrics.Trouble{}},
		Listing: metrics.Listing{Images: 1234, Age: &age},
		Cache: metrics.Cache{
			Bytes: 200 << 20, Limit: 256 << 20, Hits: 100 * at, Misses: 25 * at, Fetched: at * at << 20,
			Disk: &metrics.Disk{Bytes: 5 << 30, Limit: 20 << 30, Images: 7, Hits: 50 * at},
		},
		Handles: 3,
		Uploads: []metrics.Upload{{Name: hostile, Draft: "d1", Phase: "uploading", Sent: at * 20 << 20, Size: 4 << 30}},
		Transfers: []metrics.Transfer{
			{Kind: metrics.TransferWarm, Image: "0", Name: "debian.qcow2", Done: at << 20, Size: 1 << 30},
			{Kind: metrics.TransferVerify, Image: "1", Name: hostile},
		},
		Writing: []metrics.Writing{{Name: "copied.raw", Draft: "d4", Size: 3 << 20}},
		Waiting: []metrics.Waiting{{Name: "nightly.raw", Draft: "d2", Size: 1 << 30, Error: hostile}},
		Drafts:  []metrics.Draft{{ID: "d3", Name: hostile, State: "failed", Reason: "over quota", Size: 5 << 20}},
	}
}

// blocks are those of an image with a hostile name, that fills, and of two others.
func blocks(at int64) metrics.Blocks {
	b := metrics.Blocks{BlockSize: 128 << 10}
	for n, name := range []string{hostile, strings.Repeat("an-image-with-a-long-name-", 9) + ".qcow2", "small.iso"} {
		cells := []int{metrics.MostCells, metrics.MostCells, 3}[n]
		i := metrics.ImageBlocks{ID: fmt.Sprint(n), Name: name, Size: int64(cells) * 8 * b.BlockSize, Readers: 1 - n%2, Used: time.Unix(0, 0), BlocksPerCell: 8}
		for cell := range cells {
			i.Memory = append(i.Memory, 0)
			i.Disk = append(i.Disk, 0)
			i.InFlight = append(i.InFlight, 0)
			switch fill := int(at)*8 + 150; {
			case n == 1 || cell < fill-60:
				i.Disk[cell] = min(8, cell%13)
			case cell < fill:
				i.Memory[cell] = 8
			case cell < fill+8:
				i.InFlight[cell] = 8
			}
		}
		b.Images = append(b.Images, i)
	}
	return b
}

// One load of the page, looked at as people do: who reads, who uses a keyboard, who has a
// dark screen, a telephone, or no wish for motion, and who unmounts.
func TestPage(t *testing.T) {
	url, end := mount(t)
	p := open(t, url, 1280)
	p.prefers("color-scheme", "light")
	p.wait(`document.querySelectorAll('#images > li').length === 3 && document.getElementById('now-from').textContent !== '–'`)
	for _, look := range []struct {
		name string
		at   func(p tab)
	}{{"text", looksAtText}, {"keyboard", usesKeyboard}, {"dark", looksInTheDark}, {"phone", holdsATelephone}, {"motion", wantsNoMotion}} {
		t.Run(look.name, func(t *testing.T) {
			p := p
			p.T = t
			look.at(p)
		})
	}
	p.quiet()
	end()
	p.wait(`document.getElementById('trouble').innerText.startsWith('No answer from the mount')`)
}

// Names are text, whatever they are.
func looksAtText(p tab) {
	text := strings.ReplaceAll(ask[string](p, `document.body.innerText`), "\u00a0", " ")
	for _, want := range []string{
		"/srv/images", "mounted; https://glance.example/image", "86 %", "5 GiB", "of 20 GiB, 7 images", hostile + " uploading", "of 4 GiB",
		"debian.qcow2 loading", "of 1 GiB", hostile + " comparing with its hash", "begins",
		"copied.raw is being written", "nightly.raw waits for its upload", "kept in staging, failed", "over quota", "512 MiB, open", " in flight", "Each cell is 1 MiB.",
	} {
		if !strings.Contains(text, want) {
			p.Errorf("the page does not say %q", want)
		}
	}
	if n := ask[int](p, `document.querySelectorAll('img').length`); n != 0 {
		p.Errorf("a name has become %d elements", n)
	}
	if title := ask[string](p, `document.title`); title != "/srv/images – imagefs" {
		p.Errorf("title %q", title)
	}
	p.picture("light")
}

// usesKeyboard stops the page and goes to the end of the first image, also while the page
// changes under it.
func usesKeyboard(p tab) {
	p.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	if got := ask[string](p, `document.activeElement.innerText`); got != "Go on" {
		p.Errorf("Tab, Enter: %q", got)
	}
	p.do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	for _, step := range []struct {
		keys string
		now  string
	}{{"", "0"}, {kb.ArrowRight, "1"}, {kb.ArrowLeft + kb.ArrowLeft, "0"}, {kb.End, "511"}, {kb.ArrowRight, "511"}, {kb.Home + kb.ArrowRight + kb.ArrowRight, "2"}} {
		p.do(chromedp.KeyEvent(step.keys))
		if got := ask[string](p, `document.activeElement.getAttribute('aria-valuenow')`); got != step.now {
			p.Errorf("after %q: at %s, want %s", step.keys, got, step.now)
		}
	}
	p.wait(`document.getElementById('transfers').innerText !== (window.before ??= document.getElementById('transfers').innerText)`)
	got := strings.ReplaceAll(ask[string](p, `document.activeElement.getAttribute('aria-valuetext')`), "\u00a0", " ")
	if want := "2 MiB to 3 MiB: 25 % on disk"; got != want {
		p.Errorf("it is told %q, want %q", got, want)
	}
	p.picture("keyboard")
}

// looksInTheDark sees other colours, of the map too.
func looksInTheDark(p tab) {
	const swatch = `document.querySelector('.swatch').toDataURL() + getComputedStyle(document.body).color`
	light := ask[string](p, swatch)
	p.prefers("color-scheme", "dark")
	p.wait(fmt.Sprintf(`(%s) !== %s`, swatch, quote(light)))
	p.picture("dark")
}

// holdsATelephone has one column, and nothing to scroll sideways.
func holdsATelephone(p tab) {
	p.do(chromedp.EmulateViewport(380, 800, chromedp.EmulateMobile, chromedp.EmulateTouch))
	p.wait(`innerWidth === 380`)
	if n := ask[int](p, `document.documentElement.scrollWidth`); n > 380 {
		p.Errorf("it is %d pixels wide", n)
	}
	if n := ask[int](p, `new Set([...document.querySelectorAll('#images > li, figure')].map((e) => e.getBoundingClientRect().left)).size`); n != 1 {
		p.Errorf("%d columns", n)
	}
	p.picture("phone")
}

func wantsNoMotion(p tab) {
	const moves = `[...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e); return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none'; }).length`
	p.prefers("reduced-motion", "no-preference")
	if ask[int](p, moves) == 0 {
		p.Error("nothing ever moves: this test is of no use any more")
	}
	p.prefers("reduced-motion", "reduce")
	if n := ask[int](p, moves); n != 0 {
		p.Errorf("%d elements move", n)
	}
}
