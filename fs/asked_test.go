package fs

import (
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// counting counts what the kernel asks.
type counting struct {
	fuse.RawFileSystem

	mu   sync.Mutex // guards the field below
	came map[string]int
}

func (c *counting) count(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came[op]++
}

// asked returns how often the kernel has asked that since the last time.
func (c *counting) asked() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	came := c.came
	c.came = map[string]int{}
	return came
}

// Lookup counts.
func (c *counting) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	c.count("LOOKUP")
	return c.RawFileSystem.Lookup(cancel, in, name, out)
}

// GetAttr counts, but for the root.
func (c *counting) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.NodeId != fuse.FUSE_ROOT_ID {
		c.count("GETATTR")
	}
	return c.RawFileSystem.GetAttr(cancel, in, out)
}

// Statx counts, but for the root.
func (c *counting) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	if in.NodeId != fuse.FUSE_ROOT_ID {
		c.count("STATX")
	}
	return c.RawFileSystem.Statx(cancel, in, out)
}

// GetXAttr counts.
func (c *counting) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	c.count("GETXATTR")
	return c.RawFileSystem.GetXAttr(cancel, in, name, dest)
}

// ReadDir counts.
func (c *counting) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	c.count("READDIR")
	return c.RawFileSystem.ReadDir(cancel, in, out)
}

// ReadDirPlus counts.
func (c *counting) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	c.count("READDIRPLUS")
	return c.RawFileSystem.ReadDirPlus(cancel, in, out)
}

// A listing brings attributes along for who asks for them meanwhile, and then none is
// asked for; and it does not for who wants names only. Who reads all names first has each
// looked up, once.
func TestAttributesComeWithTheListing(t *testing.T) {
	const many = 1000
	list := crowdOf(many)
	for name, c := range map[string]struct {
		command []string
		names   bool // it reads names first
		lookups int  // of 1000 entries, at most
	}{
		"ls -l":  {[]string{"ls", "-l"}, false, 0},
		"ls -lU": {[]string{"ls", "-lU"}, false, 0},
		"find":   {[]string{"find", ".", "-size", "+1G"}, true, many},
		"rsync":  {[]string{"rsync", "--list-only", "./"}, false, 0},
		"ls -U":  {[]string{"ls", "-U"}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(c.command[0]); err != nil {
				t.Fatal(err) // make test installs it
			}
			u, f := crowded(t, list)
			f.opts.Source = "crowd"
			f.tuning.validity = time.Hour // however slow the command is, it need not ask twice
			counts := &counting{RawFileSystem: u.RawFileSystem, came: map[string]int{}}
			dir := t.TempDir()
			opts := mountOptions(f)
			server, err := fuse.NewServer(counts, dir, &opts.MountOptions)
			if err != nil {
				t.Fatal(err)
			}
			go server.Serve()
			if err := server.WaitMount(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := server.Unmount(); err != nil {
					t.Error(err)
				}
				server.Wait()
			}()
			cmd := exec.Command(c.command[0], c.command[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			asked := counts.asked()
			if asked["LOOKUP"] > c.lookups || asked["GETATTR"]+asked["STATX"] > 0 {
				t.Errorf("asked of %d entries: %v", many, asked)
			}
			// ls -l asks for a label and an access control list, and of no other file where
			// it is told that the filesystem has none.
			if n := asked["GETXATTR"]; n > 5 {
				t.Errorf("asked for %d extended attributes", n)
			}
			if n := asked["READDIR"]; c.names && n == 0 {
				t.Errorf("attributes came along for nobody: %v", asked)
			}
			t.Log(asked)
		})
	}
}
