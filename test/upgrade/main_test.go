package upgrade

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/test/daemon"
)

// write makes fixtures instead of testing them.
var write = flag.String("write", "", "write the fixtures testdata/`NAME`, which must not exist, with today's binary; as root")

// binary is the imagefs under test.
var binary string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "upgrade:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "imagefs-upgrade-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if binary, err = daemon.Build(dir); err != nil {
		return 1, err
	}
	for _, name := range []string{"NO_PROXY", "no_proxy", "REQUEST_METHOD"} { // see endpoint
		if err := os.Unsetenv(name); err != nil {
			return 1, err
		}
	}
	if *write != "" {
		return 0, writeFixtures(dir, *write)
	}
	return m.Run(), nil
}
