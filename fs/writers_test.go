package fs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// openers open a file for writing and close it without a byte of their own, or set the
// length that it has.
var openers = map[string]string{
	"append":         ": >>f",
	"read and write": ": <>f",
	"dd":             "dd if=/dev/null of=f conv=notrunc status=none",
	"truncate":       "truncate -s 4 f",
}

// The close of who has written nothing does not publish what another one has half
// written.
func TestCloseOfAnotherWriter(t *testing.T) {
	for name, script := range openers {
		t.Run(name, func(t *testing.T) {
			m := mountHouse(t, newHouse())
			f := must(os.Create(m.path("f")))
			must(f.WriteString("half"))
			run(t, m, script)
			if n := m.did("commit", "f"); n != 0 || m.count() != 0 {
				t.Errorf("%d commits before the writer has closed", n)
			}
			must(f.WriteString(" and half"))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if got, n := m.content("f"), m.did("commit", "f"); got != "half and half" || n != 1 {
				t.Errorf("the image has %q after %d commits", got, n)
			}
			m.settled()
		})
	}
}

// Nor does it once that one has been killed, also where it is the last.
func TestCloseBesideAKilledWriter(t *testing.T) {
	for name, script := range openers {
		for _, last := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", last: ", last), func(t *testing.T) {
				h := newHouse()
				h.add("f", "what was there")
				m := mountHouse(t, h)
				cmd, ended := shell(t, m, "exec >f; printf half; while :; do sleep 0.01; done")
				m.eventually("its bytes", func() bool { _, d := m.node("f").now(); return d != nil && d.bytes.Size() == 4 })
				var other *os.File
				if last {
					other = must(os.OpenFile(m.path("f"), os.O_RDWR, 0))
				}
				run(t, m, script)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				endedBy(t, result(t, ended), syscall.SIGKILL)
				if last {
					_, d := m.node("f").now()
					m.eventually("the killed one to be gone", func() bool { return d.hasWriters(1) })
					run(t, m, script)
					if err := other.Close(); err != nil {
						t.Error(err)
					}
				}
				m.settled()
				if got, ends := m.content("f"), m.ends(); got != "what was there" || ends["abandoned"] != 1 {
					t.Errorf("the image has %q, drafts ended %v", got, ends)
				}
			})
		}
	}
}

// Who has made the file, or emptied it before the killed one wrote, does not publish
// what that one has left; who has emptied it since does.
func TestCreatorBesideAKilledWriter(t *testing.T) {
	for name, c := range map[string]struct {
		script, want string
		count        int
	}{
		"made": {"", "", 0}, "emptied": {": >f", "", 1}, "written": {"printf new >f", "new", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := mountHouse(t, newHouse())
			f := must(os.Create(m.path("f")))
			_, ended := shell(t, m, "exec >>f; printf half; kill -KILL $$")
			endedBy(t, result(t, ended), syscall.SIGKILL)
			run(t, m, c.script)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			m.settled()
			if got := m.content("f"); got != c.want || m.count() != c.count {
				t.Errorf("%d images, with %q; drafts ended %v", m.count(), got, m.ends())
			}
		})
	}
}

// writesLater is a script whose child writes to the file after its opener has closed
// it, so that what it writes is left to the release, and ends when the file go is there.
const writesLater = `exec 3>>f; (while ! test -e "$GO.closed"; do sleep 0.01; done; printf data >&3
	while ! test -e "$GO"; do sleep 0.01; done) & exec 3>&-; : > "$GO.closed"; wait`

// A writer that is killed before it has written costs nobody the bytes that no close
// has answered for yet.
func TestKilledBeforeItWrote(t *testing.T) {
	h := newHouse()
	h.add("f", "")
	m := mountHouse(t, h)
	end := filepath.Join(t.TempDir(), "go")
	t.Setenv("GO", end)
	_, ended := shell(t, m, writesLater)
	m.eventually("its bytes", func() bool { _, d := m.node("f").now(); return d != nil && d.bytes.Size() == 4 })
	_, d := m.node("f").now()
	_, killed := shell(t, m, "exec 3>>f; kill -KILL $$")
	endedBy(t, result(t, killed), syscall.SIGKILL)
	m.eventually("the killed one to be gone", func() bool { return d.hasWriters(1) })
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := result(t, ended); err != nil {
		t.Fatal(err)
	}
	m.settled()
	if got := m.content("f"); got != "data" {
		t.Errorf("the image has %q, drafts ended %v", got, m.ends())
	}
}

// The last one to close commits what closes that were not the opener's have left.
func TestLastToClose(t *testing.T) {
	m := mountHouse(t, newHouse())
	last := must(os.Create(m.path("f")))
	end := filepath.Join(t.TempDir(), "go")
	t.Setenv("GO", end)
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, m, writesLater)
	_, d := m.node("f").now()
	m.eventually("the other to be gone", func() bool { return d.hasWriters(1) })
	if n := m.did("commit", "f"); n != 0 {
		t.Errorf("%d commits, want none yet", n)
	}
	if err := last.Close(); err != nil {
		t.Error(err)
	}
	if got, n := m.content("f"), m.did("commit", "f"); got != "data" || n != 1 {
		t.Errorf("the image has %q after %d commits", got, n)
	}
	m.settled()
}

// Two that have both written share one draft: the close of one commits all of it, and
// that of the other has nothing left to do.
func TestTwoWriters(t *testing.T) {
	m := mountHouse(t, newHouse())
	a := must(os.Create(m.path("f")))
	b := must(os.OpenFile(m.path("f"), os.O_RDWR, 0))
	must(a.WriteAt([]byte("aa"), 0))
	must(b.WriteAt([]byte("bb"), 2))
	for _, f := range []*os.File{b, a} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got, n := m.content("f"), m.did("commit", "f"); got != "aabb" || n != 1 {
			t.Errorf("the image has %q after %d commits", got, n)
		}
	}
	m.settled()
}

// run runs a script in the mount.
func run(t *testing.T, m *mounted, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// node returns the node of an entry.
func (m *mounted) node(entry string) *node {
	return m.server.fs.nodeOf(must(m.Lookup(m.t.Context(), entry)))
}

func (d *draft) hasWriters(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writers == n
}
