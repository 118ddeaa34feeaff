package model

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/test/daemon"
)

// budget is how many steps TestMount makes at least.
var budget = flag.Int("model.steps", 10_000, "steps of the random sequences, in all")

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	flag.Parse()
	// Sequences long enough for files to have a history, and one of them between two
	// looks at the budget. What was said on the command line comes after this.
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": "1", "rapid.steps": "150"} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			return 1, err
		}
	}
	syscall.Umask(0o022) // a mount shows the modes that this gives
	dir, err := os.MkdirTemp("", "imagefs-model-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if binary, err = daemon.Build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
