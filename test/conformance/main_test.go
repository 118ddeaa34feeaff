package conformance

import (
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	daemon.Main(&binary, func(string) (int, error) { return m.Run(), nil })
}
