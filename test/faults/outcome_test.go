package faults

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/test/fault"
)

// outcome is what an operation answers, as the table has it: "right", an errno, the exit code
// of a mount, and behind a comma the bound of its time, if it is not at once.
type outcome string

const (
	right outcome = "right"
	// leftOut is a listing without records that are not understood; the log has them.
	leftOut outcome = "left out"
	// damaged is data that nobody can tell from the right one: a part of an image has no
	// hash. The cache finds out once it has all of it.
	damaged outcome = "damaged"
	// wrong is no outcome that a table may have.
	wrong outcome = "WRONG"
)

// bounds are how long operations may take, by the letters of the table: R is how long a
// request is tried again, S how long it may make no progress. The first has no letter.
var bounds = []struct {
	text string
	r, s int // how many times each of them
}{
	{"", 0, 0}, {"R", 1, 0}, {"3R", 3, 0}, {"S", 0, 1}, {"2S", 0, 2}, {"4S", 0, 4}, {"8S", 0, 8}, {"12S", 0, 12}, {"25S", 0, 25},
}

// spent is how long a bound is with the mounts' --stall-timeout.
func spent(r, s int) time.Duration {
	return time.Duration(r)*max(*stall/4, 2*time.Second) + time.Duration(s)**stall
}

// slack is what comes on top: the pauses between tries of a commit, and a loaded machine.
const slack = 15 * time.Second

// within reports whether an operation was as quick as the outcome says.
func (o outcome) within(took time.Duration) bool {
	_, text, _ := strings.Cut(string(o), ", ")
	for _, b := range bounds {
		if b.text == text {
			return took <= spent(b.r, b.s)+slack
		}
	}
	return false
}

// answer is the outcome without its bound.
func (o outcome) answer() outcome {
	a, _, _ := strings.Cut(string(o), ", ")
	return outcome(a)
}

// answerOf is the outcome of an error.
func answerOf(err error) outcome {
	var errno syscall.Errno
	var exit *exec.ExitError
	switch {
	case err == nil:
		return right
	case errors.Is(err, errLeftOut):
		return leftOut
	case errors.Is(err, errDamaged):
		return damaged
	case errors.As(err, &errno):
		return outcome(unix.ErrnoName(errno))
	case errors.As(err, &exit):
		return outcome(fmt.Sprintf("exit %d", exit.ExitCode()))
	default:
		return wrong
	}
}

// seen is what -rewrite writes: the least bound that it kept, and that such a fault can need.
func seen(f fault.Fault, err error, took time.Duration) outcome {
	o := answerOf(err)
	for _, b := range bounds {
		if b.text == "" && slow(f) || b.r > 0 && stalls(f) {
			continue
		}
		if took <= spent(b.r, b.s)+slack/4 || !slow(f) {
			if b.text != "" {
				o += outcome(", " + b.text)
			}
			return o
		}
	}
	return o + ", ?"
}

// slow reports whether a fault costs the time of tries, or of a stall.
func slow(f fault.Fault) bool {
	return stalls(f) || slices.Contains([]string{
		fault.Refused.Name, fault.Reset.Name, fault.LostAnswer.Name, fault.ResetInHeader.Name, fault.ResetInBody.Name, fault.Truncated.Name,
		fault.TruncatedUntold.Name, "429 with Retry-After", "502", "503", "504", fault.ProxyNotFound.Name, "500",
	}, f.Name)
}

func stalls(f fault.Fault) bool {
	return f.Name == fault.BlackHole.Name || f.Name == fault.StallInBody.Name
}
