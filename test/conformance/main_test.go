package conformance

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	syscall.Umask(0o022)
	dir, err := os.MkdirTemp("", "imagefs-conformance-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if binary, err = daemon.Build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
