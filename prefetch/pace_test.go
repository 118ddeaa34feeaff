package prefetch

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

// busy is a service whose processors need a while for each request, one after another.
type busy struct {
	*service
	processors chan struct{}
	each       time.Duration
}

func newBusy(v *service, processors int, each time.Duration) *busy {
	return &busy{service: v, processors: make(chan struct{}, processors), each: each}
}

func (b *busy) OpenSpan(ctx context.Context, img image.Image, s image.Span) (io.ReadCloser, error) {
	b.processors <- struct{}{}
	time.Sleep(b.each)
	<-b.processors
	return b.service.OpenSpan(ctx, img, s)
}

// ask makes n requests at once, each of some mebibytes, again and again.
func ask(t *testing.T, p *Pace, n, times int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for range times {
				body, err := p.OpenSpan(t.Context(), record("a", gib), image.Span{Len: 4 * mib})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, mib)); err != nil {
					t.Error(err)
				}
				if err := body.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestPaceOfAFarService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(&service{blank: true, latency: 20 * time.Millisecond, rate: 50 << 20}, 32)
		if got := p.Requests(); got != firstRequests {
			t.Errorf("%d requests before anything is known", got)
		}
		ask(t, p, 1, 50) // who reads alone says nothing about many
		if got := p.Requests(); got != firstRequests {
			t.Errorf("%d requests after one reader", got)
		}
		ask(t, p, 8, 4)
		if got := p.Requests(); got < 15 {
			t.Errorf("%d requests where more cost nothing", got)
		}
		if p.Long() {
			t.Error("one at a time where many fill the link")
		}
	})
}

func TestPaceOfABusyService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newBusy(&service{blank: true, rate: 1 << 30}, 1, 10*time.Millisecond)
		p := NewPace(v, 32)
		ask(t, p, 16, 4)
		if got := p.Requests(); got > 4 {
			t.Errorf("%d requests where each waits for the others", got)
		}
		if !p.Long() {
			t.Error("not one at a time")
		}
		ask(t, p, 1, 10)
		if !p.Long() {
			t.Error("what one shows is taken for what a few would cost")
		}
		time.Sleep(unloadedFor)
		if p.Long() {
			t.Error("a few are not tried again")
		}
		ask(t, p, p.Requests(), 4)
		if !p.Long() {
			t.Error("one at a time no more, where a few still wait for each other")
		}
		// It has more processors now.
		v.processors = make(chan struct{}, 16)
		for range 10 {
			ask(t, p, p.Requests(), 4)
		}
		if got := p.Requests(); got < 15 {
			t.Errorf("%d requests where they do not wait any more", got)
		}
		if p.Long() {
			t.Error("one at a time where they do not wait any more")
		}
	})
}

// TestPaceOfABusyServiceBehindALink: each connection is slow, so that one alone would be.
func TestPaceOfABusyServiceBehindALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(newBusy(&service{blank: true, rate: 50 << 20}, 1, 10*time.Millisecond), 32)
		ask(t, p, 16, 4)
		for range 10 {
			if p.Long() {
				ask(t, p, 1, 1)
			}
			ask(t, p, p.Requests(), 4)
		}
		if p.Long() {
			t.Error("one at a time")
		}
	})
}

// TestPaceOfOneAlone: many wait for each other, and even so bring more than one. That is
// found out by a part of it, and not again for a while.
func TestPaceOfOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newBusy(&service{blank: true, rate: 50 << 20}, 1, 200*time.Millisecond)
		p := NewPace(v, 32)
		ask(t, p, 1, 1)
		ask(t, p, 8, 4)
		if !p.Long() {
			t.Fatal("one alone is not tried")
		}
		p.together = 4 * 50 << 20
		body, err := p.OpenSpan(t.Context(), record("a", gib), image.Span{Len: gib})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(struct{ io.Writer }{io.Discard}, body, weighing); err != nil {
			t.Fatal(err)
		}
		if p.Long() {
			t.Error("one alone, which is slower")
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		ask(t, p, 4, 4)
		if p.Long() {
			t.Error("tried again at once")
		}
		time.Sleep(unloadedFor)
		ask(t, p, 4, 4)
		if !p.Long() {
			t.Error("never tried again")
		}
	})
}

func TestPaceForgetsAShorterWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{blank: true, latency: time.Millisecond, rate: 1 << 30}
		p := NewPace(v, 32)
		ask(t, p, 16, 4)
		v.latency = 100 * time.Millisecond
		ask(t, p, 4, 20)
		if got := p.Requests(); got > 4 {
			t.Errorf("%d requests while it looks like a queue", got)
		}
		for range 5 {
			time.Sleep(unloadedFor)
			ask(t, p, p.Requests(), 20)
		}
		if got := p.Requests(); got < 15 {
			t.Errorf("%d requests at a distance that has been there for minutes", got)
		}
	})
}

func TestPaceOfFewStreams(t *testing.T) {
	for streams := range 4 {
		if got := NewPace(&service{}, streams).Requests(); got != 1 {
			t.Errorf("%d requests with %d streams", got, streams)
		}
	}
}

// TestPaceUnderLastingLoad: what was learned of the way to the service is not forgotten
// while it is too busy to show it.
func TestPaceUnderLastingLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPace(newBusy(&service{blank: true, rate: 1 << 30}, 1, 10*time.Millisecond), 32)
		ask(t, p, 1, 4)
		begun := time.Now()
		for time.Since(begun) < 3*unloadedFor {
			ask(t, p, 8, 100)
		}
		if got := p.Requests(); got > 4 {
			t.Errorf("%d requests after minutes in which each waited for the others", got)
		}
	})
}

// TestPaceCountsWhatIsUnderWay: also requests that fail, and those that are given up.
func TestPaceCountsWhatIsUnderWay(t *testing.T) {
	v := &service{}
	p := NewPace(v, 32)
	body, err := p.OpenSpan(t.Context(), record("a", gib), image.Span{Len: mib})
	if err != nil {
		t.Fatal(err)
	}
	v.wholeOnly = true
	if _, err := p.OpenSpan(t.Context(), record("a", gib), image.Span{Len: mib}); err == nil {
		t.Error("opened")
	}
	if p.under != 1 {
		t.Errorf("%d under way", p.under)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if p.under != 0 || p.Requests() != firstRequests {
		t.Errorf("%d under way, %d at once", p.under, p.Requests())
	}
}
