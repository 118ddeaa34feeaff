package fs

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/imagefs/imagefs/image"
)

// A lone read stays small however far the kernel reads ahead of sequential ones, and
// a page fault fetches what is read ahead and no more.
func TestLoneReadsStaySmall(t *testing.T) {
	const size = 64 << 20
	read := func(off int64) func(path string) error {
		return func(path string) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			if _, err := f.ReadAt(make([]byte, 4096), off); err != nil {
				return err
			}
			return f.Close()
		}
	}
	for name, tc := range map[string]struct {
		touch       func(path string) error
		least, most int // bytes
	}{
		"at the beginning": {read(0), 4096, 256 << 10},
		"somewhere":        {read(33<<20 + 12345), 4096, 256 << 10},
		"at the end":       {read(size - 4096), 4096, 256 << 10},
		"a page fault":     {touchByChild, 4096, defaultTuning.readAhead},
	} {
		t.Run(name, func(t *testing.T) {
			h, engine := newHouse(), newMemoryEngine(1<<20)
			h.engine = engine
			h.add("disk", "", func(img *image.Image) { img.Size = size })
			m := mountHouse(t, h)
			if err := tc.touch(m.path("disk")); err != nil {
				t.Fatal(err)
			}
			// What the kernel reads ahead keeps the file open.
			m.eventually("the file to be closed", func() bool { return m.server.OpenHandles() == 0 })
			if asked := int(engine.asked.Load()); asked < tc.least || asked > tc.most {
				t.Errorf("%d bytes were asked for, want %d to %d", asked, tc.least, tc.most)
			}
		})
	}
}

// touchByChild touches one byte of a mapping in a process of its own: a page fault on
// a mount that the same process serves could stop both.
func touchByChild(path string) error {
	child := exec.Command(must(os.Executable()))
	child.Env = append(os.Environ(), toucherEnv+"="+path)
	if out, err := child.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// The kernel's read-ahead is raised where that is permitted, and only raised.
func TestReadAheadIsRaised(t *testing.T) {
	m := mountHouse(t, newHouse())
	info := must(mountinfo.GetMounts(mountinfo.SingleEntryFilter(m.dir)))[0]
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", info.Major, info.Minor)
	kib := func() int { return must(strconv.Atoi(strings.TrimSpace(string(must(os.ReadFile(path)))))) }
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil { // not permitted: all must work without
		if text := m.logged.text(); !strings.Contains(text, "read-ahead") {
			t.Errorf("not raised (%v), and the log says nothing:\n%s", err, text)
		}
		return
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := kib(); got != defaultTuning.readAhead>>10 {
		t.Errorf("the kernel reads %d KiB ahead, want %d", got, defaultTuning.readAhead>>10)
	}
	if err := setReadAhead(m.dir, 64<<10); err != nil || kib() != defaultTuning.readAhead>>10 {
		t.Errorf("it was lowered to %d KiB (%v)", kib(), err)
	}
}
