package fs

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

const endsOpenEnv = "IMAGEFS_TEST_ENDS_OPEN"

// endsOpen is a program that writes a file and ends without closing it. (A file of package
// os might be closed by the garbage collector.)
func endsOpen(path string) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_CLOEXEC, 0o666)
	if err == nil {
		_, err = syscall.Write(fd, []byte("data"))
	}
	return err
}

// A program that has ended without closing its file hears no signal, so its end is held up
// by the commit for a while only. That goes on, whatever its end then is.
func TestCloseAtExit(t *testing.T) {
	for name, committed := range map[string]bool{"committed": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			h, g := newHouse(), newGate("commit", "new")
			h.hook = g.hold
			if !committed {
				g.err = &image.Error{Op: "commit", Kind: image.Quota}
			}
			m := mountHouse(t, h, func(o *Options) { o.AtExit = 10 * time.Millisecond })
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), endsOpenEnv+"="+m.path("new"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := soon(cmd.Wait)
			g.wait(t)
			if err := result(t, ended); err != nil { // its upload is held
				t.Error(err)
			}
			close(g.open)
			m.settled()
			if !committed {
				m.absent("new")
				if ends := m.ends(); m.count() != 0 || ends["failed"] != 1 {
					t.Errorf("%d images, drafts ended %v", m.count(), ends)
				}
				return
			}
			m.want("new", "data")
			if m.content("new") != "data" || m.count() != 1 || m.did("commit", "new") != 1 {
				t.Errorf("the image is %q of %d, after %v", m.content("new"), m.count(), m.log)
			}
		})
	}
}
