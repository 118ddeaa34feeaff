package documents

import (
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// binary is the imagefs that the documents describe.
var binary string

func TestMain(m *testing.M) {
	daemon.Main(&binary, func(string) (int, error) { return m.Run(), nil })
}
