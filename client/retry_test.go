package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestPolicy(t *testing.T) {
	answered := func(status int) error {
		return &image.Error{Kind: kindOfStatus(opGet, status, ""), Err: &answerError{status: status}}
	}
	broken := func(k image.Kind, sent bool) error {
		return &image.Error{Kind: k, Err: &transportError{sent: sent, err: errors.New("x")}}
	}
	for _, c := range []struct {
		name               string
		err                error
		unsent, idempotent bool
	}{
		{"429", answered(429), true, true},
		{"503", answered(503), true, true},
		{"502", answered(502), false, true},
		{"504", answered(504), false, true},
		{"500", answered(500), false, false},
		{"404", answered(404), false, false},
		{"409", answered(409), false, false},
		{"503 after data", &image.Error{Kind: image.Unavailable, Err: &answerError{status: 503, final: true}}, false, false},
		{"reset after the header", broken(image.Unavailable, true), false, true},
		{"reset before", broken(image.Unavailable, false), true, true},
		{"refused", broken(image.Unreachable, false), true, true},
		{"stalled", broken(image.Stalled, true), false, false},
		{"cancelled", broken(image.Interrupted, false), false, false},
		{"untrusted", broken(image.Untrusted, false), false, false},
		{"identity away", &image.Error{Kind: image.IdentityAway}, true, true},
		{"credentials", &image.Error{Kind: image.Credentials}, false, false},
		{"other", errors.New("x"), false, false},
		{"none", nil, false, false},
	} {
		if got := unsent.allows(c.err); got != c.unsent {
			t.Errorf("%s: unsent %v", c.name, got)
		}
		if got := idempotent.allows(c.err); got != c.idempotent {
			t.Errorf("%s: idempotent %v", c.name, got)
		}
		if never.allows(c.err) {
			t.Errorf("%s: never", c.name)
		}
	}
}

// TestRetryTime: the delays of retries are bounded, obey Retry-After, and end
// with the ctx.
func TestRetryTime(t *testing.T) {
	busy := func(after time.Duration) error {
		return &image.Error{Op: "get", Image: "i", Kind: image.Unavailable, Err: &answerError{status: 503, after: after}}
	}
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		err := defaultRetries.do(t.Context(), idempotent, func() error { tries++; return busy(0) }, nil)
		wantKind(t, err, image.Unavailable)
		if took := time.Since(began); took > defaultRetries.budget || tries < 4 {
			t.Errorf("%d tries in %v", tries, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		err := defaultRetries.do(t.Context(), idempotent, func() error {
			if tries++; tries == 1 {
				return busy(7 * time.Second)
			}
			return nil
		}, nil)
		if took := time.Since(began); err != nil || took != 7*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := defaultRetries.do(t.Context(), idempotent, func() error { return busy(time.Hour) }, nil)
		wantKind(t, err, image.Unavailable)
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v for nothing", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := defaultRetries.do(ctx, idempotent, func() error { return busy(5 * time.Second) }, nil)
		wantKind(t, err, image.Stalled)
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
		if !strings.Contains(err.Error(), "get image i") {
			t.Errorf("%v does not say what was tried", err)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"": 0, "3": 3 * time.Second, "0": 0, "-1": 0, "soon": 0, "4000000000": maxRetryAfter, "99999999999999": 0,
			time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat): 90 * time.Second,
			time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):       0,
		} {
			if got := retryAfter(text); got != want {
				t.Errorf("%q: %v, want %v", text, got, want)
			}
		}
	})
}

// TestGetRetries: which answers are asked for again.
func TestGetRetries(t *testing.T) {
	for _, c := range []struct {
		name string
		fail http.HandlerFunc
		want image.Kind // after three failures; Other: success
	}{
		{"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, image.Other},
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, image.Other},
		{"502", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, image.Other},
		{"no answer", func(w http.ResponseWriter, _ *http.Request) { hangUp(w) }, image.Other},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"id"`)
			http.NewResponseController(w).Flush()
			hangUp(w)
		}, image.Other},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, image.Unavailable},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, image.NotFound},
		{"no record", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id": 5}`) }, image.UnexpectedAnswer},
		{"another thing", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `<html>Welcome`) }, image.UnexpectedAnswer},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			for range maxRecord>>16 + 1 {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		}, image.UnexpectedAnswer},
		{"redirect to nowhere", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) }, image.UnexpectedAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tries atomic.Int32
			client := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if tries.Add(1) <= 3 {
					c.fail(w, r)
					return
				}
				fmt.Fprint(w, record(someID, ""))
			})
			_, err := client.Get(t.Context(), someID)
			if c.want != image.Other {
				wantKind(t, err, c.want)
			} else if err != nil || tries.Load() != 4 {
				t.Errorf("%v after %d tries", err, tries.Load())
			}
			if c.want != image.Other && tries.Load() != 1 {
				t.Errorf("%d tries", tries.Load())
			}
		})
	}
}

// TestUnreachable: nothing listens there.
func TestUnreachable(t *testing.T) {
	setOS(t)
	_, err := Dial(t.Context(), Options{Endpoint: "http://127.0.0.1:1"})
	wantKind(t, err, image.Unreachable)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v does not say why", err)
	}
}

// TestRedirect: a token stays on its host.
func TestRedirect(t *testing.T) {
	other := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(headerToken) != "" {
			t.Error("the token went to another host")
		}
		fmt.Fprint(w, record(someID, ""))
	})
	c := fake(t, Options{Token: "secret"}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/images/"+otherID:
			http.Redirect(w, r, "/v2/moved", http.StatusFound)
		case r.URL.Path == "/v2/moved":
			if r.Header.Get(headerToken) != "secret" {
				t.Error("the token did not go to the same host")
			}
			fmt.Fprint(w, record(otherID, ""))
		default:
			http.Redirect(w, r, other, http.StatusTemporaryRedirect)
		}
	})
	for _, id := range []string{someID, otherID} {
		if _, err := c.Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	wantKind(t, c.Delete(t.Context(), someID), image.UnexpectedAnswer)
}

// A redirect that is not followed may lead to the right to read bytes, which its text
// repeats: the error has neither.
func TestRefusedRedirect(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		const target = "http://store.example/x?sig=SECRET"
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
		fmt.Fprintf(w, `The resource was found at <a href="%s">%s</a>.`, target, target)
	})
	err := c.Delete(t.Context(), someID)
	wantKind(t, err, image.UnexpectedAnswer)
	if text := fmt.Sprint(err); strings.Contains(text, "SECRET") || !strings.Contains(text, "302") {
		t.Errorf("it says %s", text)
	}
}

func TestBudgetOf(t *testing.T) {
	for stall, want := range map[time.Duration]time.Duration{
		defaultStall: defaultRetries.budget, 2 * time.Second: 2 * time.Second, 10 * time.Minute: 150 * time.Second,
	} {
		if got := budgetOf(stall); got != want {
			t.Errorf("with a stall time-out of %v it is %v, want %v", stall, got, want)
		}
	}
}
