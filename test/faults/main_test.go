package faults

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefs/imagefs/test/daemon"
)

var (
	rewrite = flag.Bool("rewrite", false, "write what is seen into docs/RELIABILITY.md, in the place of what it says")
	full    = flag.Bool("full", false, "try all cells of the table, not one of seven: many minutes")
	// The shortest that is no stall of a loaded machine.
	stall = flag.Duration("stall", 4*time.Second, "--stall-timeout of the mounts")
)

// atOnce is how many cells are tried at a time: most of them wait for pauses and time-outs.
const atOnce = 20

// binary is the imagefs under test, root where its mounts are.
var binary, root string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
			return 1, err
		}
	}
	if root, err = os.MkdirTemp("", "imagefs-faults-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if binary, err = daemon.Build(root); err != nil {
		return 1, err
	}
	for name, value := range map[string]string{"OS_CLIENT_CONFIG_FILE": filepath.Join(root, "clouds.yaml"), "OS_TOKEN": secret} {
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	code = m.Run()
	return code, spare.end()
}
