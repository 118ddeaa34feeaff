package client

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Observer hears of the requests of a Client. Its methods are called by many goroutines at
// once, must not wait, and know nothing of what was asked for but its kind, as errors have
// it ("open span", "authenticate").
type Observer interface {
	// Ended is called for each request that was made: the status of its answer, or, in a
	// word, why there was none; and how long that took.
	Ended(kind, code string, took time.Duration)
	// Retried is called when one has failed and is about to be made again, or a download
	// that broke off goes on.
	Retried(kind string)
}

// nobody is who hears of requests where nobody wants to.
type nobody struct{}

func (nobody) Ended(string, string, time.Duration) {}
func (nobody) Retried(string)                      {}

// ended tells of a request that had an answer, or failed with err.
func ended(ctx context.Context, to Observer, o op, began time.Time, resp *http.Response, err error) {
	code := ""
	if err != nil {
		code = kindOfTransport(ctx, err).String()
	} else {
		code = strconv.Itoa(resp.StatusCode)
	}
	to.Ended(string(o), code, time.Since(began))
}

// observed tells of requests that gophercloud makes, all of one kind.
type observed struct {
	next http.RoundTripper
	op   op
	to   Observer
}

func (t *observed) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.next.RoundTrip(req)
	ended(req.Context(), t.to, t.op, began, resp, err)
	return resp, err
}
