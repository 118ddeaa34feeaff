package main

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	length = flag.Duration("soak.length", 0, "how long TestSoak works; 0: each thing goes wrong once")
	seed   = flag.Uint64("soak.seed", 1, "what happens when in it; 0: something new")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The short form: all tools at work, faults, a kill of the daemon and one of the server, a
// full disk, and everything compared. `make soak` is the long one.
func TestSoak(t *testing.T) {
	o := options{
		service: "embedded", length: *length, seed: *seed, race: true, fixed: 8 << 20,
		round: 4 * time.Second, dir: t.TempDir(), verbose: testing.Verbose(),
	}
	if o.length == 0 {
		o.plan = []string{killServer, killDaemon, fullDisk}
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	t.Logf("-soak.seed %d", o.seed)
	f, err := run(o)
	if err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", f.text())
}
