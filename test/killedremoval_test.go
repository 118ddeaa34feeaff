package test

import (
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// A removal that is killed at any of its requests, and before their answers arrive, has
// happened after the next mount or has not, also of a file that is edited and waits:
// what cannot be had any more without the image that was deleted is not kept for ever.
func TestRemovalKilledAtEachRequest(t *testing.T) {
	was, edit := noise(173, 300<<10+1), noise(174, 5000)
	edited := slices.Concat(edit, was[len(edit):])
	patch := file(t, "patch", edit)
	for _, c := range []struct {
		what  string
		args  []string
		first string // what is done to the file before, with $0 the path and $1 the patch
		now   []byte // what it holds by then
	}{
		{what: "image", now: was},
		{what: "edited", args: []string{"--writeback"}, first: `dd if="$1" of="$0" conv=notrunc status=none`, now: edited},
		{what: "overwritten", args: []string{"--writeback"}, first: `cp "$1" "$0"`, now: edit},
		{what: "edited-trash", args: []string{"--writeback", "--trash", "1h"}, first: `dd if="$1" of="$0" conv=notrunc status=none`, now: edited},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			p, s := newStopper(t, embedded(t))
			m := mountOn(t, s, c.args...)
			stopped := func(nth int, w where) bool {
				name := c.what + "-" + strconv.Itoa(nth) + "-" + strconv.Itoa(int(w)) + ".img"
				s.upload(t, image.New{Name: name}, was)
				if c.first != "" {
					run(t, "sh", "-c", c.first, m.path(name), patch)
				}
				at := p.arm(nth, w)
				rm := exec.Command("rm", m.path(name))
				if err := rm.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- rm.Wait() }()
				ok := false
				select {
				case method := <-at.reached:
					ok = true
					m.kill()
					p.letGo()
					<-ended //nolint:errcheck // it was not answered
					t.Logf("killed at the %v of %s, with %+v", w, method, m.journals())
					m = m.afresh(c.args...)
				case err := <-ended:
					p.letGo()
					if err != nil {
						t.Fatalf("rm: %v", err)
					}
				}
				m.settled()
				left := 0
				for _, img := range s.all(t) {
					if _, trashed := img.Trashed(); !trashed {
						holds(t, img, c.now)
						if left++; left > 1 || !ok || img.Hidden {
							t.Errorf("the service has %+v", img)
						}
					}
					s.forget(t, img)
				}
				return ok
			}
			kills := 0
			for nth := 0; stopped(nth, atRequest); nth++ {
				if kills++; !stopped(nth, atAnswer) {
					t.Errorf("the answer of request %d never came", nth)
				}
			}
			if kills == 0 {
				t.Error("there was nothing to kill")
			}
		})
	}
}
