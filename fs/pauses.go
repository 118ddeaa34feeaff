package fs

import (
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/imagefs/imagefs/image"
)

// pauses are the waits between the tries of one commit behind.
type pauses struct {
	away, refused backoff.BackOff
	told          bool       // a failure was logged
	last          image.Kind // of that one
}

// waits are how long drafts that nobody has open wait for what.
type waits struct {
	// breath lies between an answered close and its commit: programs that close a file
	// set its times and name next, or open it again, and then nothing was sent in vain.
	breath time.Duration
	// linger is how long an empty file that would not show is there after its close. What
	// opens it again does so at once, or a person does; and soon after it was made whoever
	// made it must see that it does not stay.
	linger time.Duration
	// A service that was away for long is asked every two minutes, and one that has
	// just come back soon.
	awayFirst, awayMost time.Duration
	// What the service has refused, only a person can mend (free quota, take back a
	// protection); asking costs a whole upload where it refuses only at the end.
	refusedFirst, refusedMost time.Duration
	// hurried is the longest wait while the mount ends.
	hurried time.Duration
}

var defaultWaits = waits{
	breath:    time.Second,
	linger:    10 * time.Second,
	awayFirst: 2 * time.Second, awayMost: 2 * time.Minute,
	refusedFirst: time.Minute, refusedMost: 15 * time.Minute,
	hurried: 5 * time.Second,
}

// spread is by how much of itself each wait between tries differs, so that many
// drafts do not come back at once.
const spread = 0.5

func newPauses(w waits) *pauses {
	grow := func(first, most time.Duration) backoff.BackOff {
		b := &backoff.ExponentialBackOff{InitialInterval: first, RandomizationFactor: spread, Multiplier: 2, MaxInterval: most}
		b.Reset()
		return b
	}
	return &pauses{away: grow(w.awayFirst, w.awayMost), refused: grow(w.refusedFirst, w.refusedMost)}
}

// after is the wait after a failure of the kind. Wrong bytes were damaged on the way the
// first time; those that were read anew, and are wrong again, the service has so, and each
// try reads the whole image under an edit.
func (p *pauses) after(k image.Kind) time.Duration {
	again := p.told && k == p.last
	if refusal(k) || k == image.Corrupt && again {
		p.away.Reset()
		return p.refused.NextBackOff()
	}
	p.refused.Reset()
	return p.away.NextBackOff()
}

// refusal reports a failure that waiting alone does not cure.
func refusal(k image.Kind) bool {
	switch k {
	case image.Credentials, image.Rejected, image.Forbidden, image.Protected, image.Foreign, image.NotPermitted,
		image.Quota, image.Full, image.Unsupported, image.InvalidName, image.NameTooLong, image.Stale, image.Untrusted, image.TooLarge:
		return true
	}
	return false
}

// tell logs a failure if it is another one than the last, and returns how long to
// wait.
func (d *draft) tell(b *behind, p *pauses) time.Duration {
	d.mu.Lock()
	err, entry := b.err, d.entry
	d.mu.Unlock()
	kind := image.KindOf(err)
	pause := p.after(kind)
	if !p.told || kind != p.last {
		p.told, p.last = true, kind
		d.fs.log.Warn("a file waits for its upload, which is tried again until it succeeds",
			"entry", entry, "error", err, "next", pause.Round(time.Second), "draft", d.bytes.Path())
	}
	return pause
}
