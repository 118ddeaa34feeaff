package upgrade

import (
	"flag"
	"os"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// write makes fixtures instead of testing them.
var write = flag.String("write", "", "write the fixtures testdata/`NAME`, which must not exist, with today's binary; as root")

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	daemon.Main(&binary, func(dir string) (int, error) {
		for _, name := range []string{"NO_PROXY", "no_proxy", "REQUEST_METHOD"} { // see endpoint
			if err := os.Unsetenv(name); err != nil {
				return 1, err
			}
		}
		if *write != "" {
			return 0, writeFixtures(dir, *write)
		}
		return m.Run(), nil
	})
}
