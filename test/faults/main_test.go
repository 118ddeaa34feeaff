package faults

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/imagefs/imagefs/test/daemon"
)

var (
	rewrite = flag.Bool("rewrite", false, "write what is seen into docs/RELIABILITY.md, in the place of what it says")
	full    = flag.Bool("full", false, "try all cells of the table, not one of nine: many minutes")
	day     = flag.Int64("day", time.Now().Unix()/(24*60*60), "try the cells of this `day` since 1970")
	// The shortest that is no stall of a loaded machine.
	stall = flag.Duration("stall", 4*time.Second, "--stall-timeout of the mounts")
)

// atOnce is how many cells are tried at a time: most of them wait for pauses and time-outs.
const atOnce = 20

// binary is the imagefs under test, root where its mounts are.
var binary, root string

func TestMain(m *testing.M) {
	daemon.Main(&binary, func(dir string) (int, error) {
		root = dir
		if err := daemon.Default("test.parallel", strconv.Itoa(atOnce)); err != nil {
			return 1, err
		}
		for name, value := range map[string]string{"OS_CLIENT_CONFIG_FILE": filepath.Join(root, "clouds.yaml"), "OS_TOKEN": secret} {
			if err := os.Setenv(name, value); err != nil {
				return 1, err
			}
		}
		code := m.Run()
		return code, spare.end()
	})
}
