package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Two mounts of one service, on which several writers create, rename and remove files
// of the same names at once, show the same in the end: what the service has.
func TestConverge(t *testing.T) {
	for _, c := range []struct {
		service service
		changes int // of each writer
	}{{inProcess(t, t.TempDir()), 60}, {services[1], 8}} {
		t.Run(c.service.name, func(t *testing.T) {
			const prefix = "converge-"
			var mounts []*mount
			for range 2 {
				mounts = append(mounts, mountOn(t, c.service, behindTTL...))
			}
			for i := range convergeNames {
				c.service.cleanName(t, convergeName(prefix, i))
			}
			var group sync.WaitGroup
			for i, m := range mounts {
				for w := range 3 {
					r := rand.New(rand.NewPCG(uint64(i), uint64(w)))
					group.Go(func() {
						for range c.changes {
							if err := m.disturb(r, prefix); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			group.Wait()
			for _, m := range mounts {
				m.settled()
			}
			left := agree(t, prefix, mounts...)
			if len(left) == 0 {
				t.Error("nothing is left: they have removed more than they made")
			}
			for name, e := range left {
				for _, m := range mounts {
					got, err := os.ReadFile(m.path(name))
					if err != nil || !strings.HasPrefix(string(got), "written for ") || int64(len(got)) != e.Size {
						t.Errorf("%s reads %q, %v", name, got, err)
					}
				}
			}
		})
	}
}

const convergeNames = 12 // so few that the writers meet

func convergeName(prefix string, i int) string { return fmt.Sprintf("%s%02d.img", prefix, i) }

// disturb makes one change through the mount. What another has just moved or removed
// is no error.
func (m *mount) disturb(r *rand.Rand, prefix string) error {
	name := convergeName(prefix, r.IntN(convergeNames))
	var err error
	switch what := r.IntN(10); {
	case what < 5:
		err = os.WriteFile(m.path(name), []byte("written for "+name), 0o600)
	case what < 8:
		err = os.Rename(m.path(convergeName(prefix, r.IntN(convergeNames))), m.path(name))
	default:
		err = os.Remove(m.path(name))
	}
	for _, met := range []error{syscall.ENOENT, syscall.ESTALE, syscall.EBUSY} {
		if errors.Is(err, met) {
			return nil
		}
	}
	return err
}
