package model

import (
	"errors"
	"flag"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// budget is how many steps TestMount makes at least.
var budget = flag.Int("model.steps", 10_000, "steps of the random sequences, in all")

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	daemon.Main(&binary, func(string) (int, error) {
		// Sequences long enough for files to have a history, and one of them between two
		// looks at the budget.
		if err := errors.Join(daemon.Default("rapid.checks", "1"), daemon.Default("rapid.steps", "150")); err != nil {
			return 1, err
		}
		syscall.Umask(0o022) // a mount shows the modes that this gives
		return m.Run(), nil
	})
}
