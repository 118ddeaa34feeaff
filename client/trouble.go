package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/imagefs/imagefs/image"
)

// sign is what the outcome of a try says of a service.
type sign uint8

const (
	silent  sign = iota // nothing: it was not asked, or what went wrong is ours
	answers             // it answers, whatever it says
	fails               // it is in trouble
)

// slowAnswer is how long a try has to have had no answer, when its caller's time is up,
// to count as a stall: half the time that the kernel's lock of the directory gives.
const slowAnswer = 5 * time.Second

// signs is what the outcome of a try says of the Image service and of Keystone. What
// may be the fault of one store says nothing of the service: an image's data that stall,
// break off, or are refused by Glance itself. What fails at another host fails after the
// service has answered, by a redirect. signed: the service gives its own answers
// a request id, so that one without it is a proxy's.
func signs(o op, err error, took time.Duration, signed bool) (glance, keystone sign) {
	if err == nil {
		return answers, answers
	}
	data := o == opSpan || o == opWhole || o == opPermission || o == opUpload || o == opStage
	if image.Is(err, image.IdentityAway) {
		return answers, fails // it has answered 401
	}
	var a *answerError
	var t *transportError
	var r *renewalError
	switch {
	case errors.As(err, &a) && a.away, errors.As(err, &t) && t.away:
		return answers, answers
	case errors.As(err, &a):
		switch a.status {
		case http.StatusBadGateway, http.StatusServiceUnavailable:
			if data && (!signed || requestOf(err) != "") {
				return silent, silent
			}
			return fails, silent
		case http.StatusGatewayTimeout:
			if data {
				return silent, silent
			}
			return fails, silent
		}
		return answers, answers
	case errors.As(err, &r):
		// A 401, and who had it did not wait for Keystone to the end.
		if errors.Is(err, context.DeadlineExceeded) && took >= slowAnswer {
			return answers, fails
		}
		return answers, silent
	case !errors.As(err, &t):
		switch image.KindOf(err) {
		case image.UnexpectedAnswer, image.Corrupt, image.Credentials:
			return answers, answers // the answer was not what it should be
		}
		return silent, silent // it was not asked to the end, for a reason of ours
	case image.Is(err, image.Unreachable):
		return fails, silent
	case data:
		return silent, silent
	case errors.Is(err, errStalled), image.Is(err, image.Unavailable),
		errors.Is(err, context.DeadlineExceeded) && took >= slowAnswer:
		return fails, silent
	}
	return silent, silent
}

// requestOf returns the request id of an error of ours.
func requestOf(err error) string {
	var e *image.Error
	if errors.As(err, &e) {
		return e.RequestID
	}
	return ""
}

// Trouble is a service that fails, or wants a pause, as far as that holds requests up.
type Trouble struct {
	Service string // "image" or "identity"
	Since   time.Time
	Err     error     // of the last failure
	Next    time.Time // when the next request may ask the service
	// Away: requests fail with the next one that asks the service. Otherwise they wait,
	// for it may only have been restarted.
	Away bool
	// Pause: the service has not failed. It has asked for a pause since then, and what
	// cannot wait until Next fails at once.
	Pause bool
}

// Trouble lists what holds requests up; nothing as a rule.
func (c *Client) Trouble() []Trouble { return c.traffic.trouble() }
