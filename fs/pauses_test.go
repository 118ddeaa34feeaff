package fs

import (
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// What passes by itself is tried again soon, what only a person can mend seldom; and so are
// wrong bytes that were read anew and are wrong again.
func TestPauses(t *testing.T) {
	soon := func(d time.Duration) bool { return d <= defaultWaits.awayFirst*3/2 }
	seldom := func(d time.Duration) bool { return d >= defaultWaits.refusedFirst/2 }
	p := newPauses(defaultWaits)
	for i, step := range []struct {
		kind image.Kind
		is   func(time.Duration) bool
	}{
		{image.Unavailable, soon}, {image.Quota, seldom}, {image.Unavailable, soon}, {image.Corrupt, func(d time.Duration) bool { return !seldom(d) }},
		{image.Corrupt, seldom}, {image.Corrupt, seldom}, {image.Unavailable, soon},
		{image.Corrupt, func(d time.Duration) bool { return !seldom(d) }},
	} {
		d := p.after(step.kind)
		p.told, p.last = true, step.kind
		if !step.is(d) {
			t.Errorf("step %d, %v: a pause of %v", i, step.kind, d)
		}
	}
}
