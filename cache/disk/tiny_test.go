package disk

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tinyEnv names the mount point to the process that runs the test below in a mount
// namespace of its own.
const tinyEnv = "IMAGEFS_TEST_TINY"

// TestTinyFilesystem fills a real filesystem of a mebibyte. It runs in a process
// with a mount namespace of its own, so that nothing stays mounted however it ends.
func TestTinyFilesystem(t *testing.T) {
	if dir := os.Getenv(tinyEnv); dir != "" {
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		must(t, unix.Mount("tiny", dir, "tmpfs", 0, "size=1m,mode=0700"))
		fillTiny(t, dir)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestTinyFilesystem$", "-test.v")
	cmd.Env = append(os.Environ(), tinyEnv+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fillTiny(t *testing.T, dir string) {
	const size = 1 << 20
	d := newFakeDisk()
	d.total = 0
	var log journal
	o := options(dir)
	o.Logger = log.logger()
	s := openStore(t, o, d)
	p := draw(1, 400*unit)
	i := p.in(s)
	defer i.Close()

	p.write(i, 0, 400)
	if n := stored(t, dir); n > size-size/keepFree || log.count("disk is full") > 0 {
		t.Errorf("%d bytes of a mebibyte are taken", n)
	}
	p.read(t, i)

	// Somebody else takes all that is left, and each block that is evicted.
	s.makeRoom(unit)
	p.write(i, 0, 100)
	filler, err := os.Create(dir + "/filler")
	must(t, err)
	fill := func() {
		for err = error(nil); err == nil; {
			_, err = filler.Write(make([]byte, unit))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	fill()
	for n := range int64(5) {
		had := p.read(t, i)
		p.write(i, 100+n*50, 150+n*50)
		if log.count("disk is full") != 1 {
			t.Fatal("the disk is full and nothing tells so")
		}
		if p.read(t, i) > had {
			t.Error("blocks are stored on a full disk")
		}
		d.pass(pauseTime)
		fill()
	}
	must(t, errors.Join(filler.Close(), os.Remove(dir+"/filler")))
	had := p.read(t, i)
	p.write(i, 0, 20)
	p.write(i, 380, 400)
	if p.read(t, i) <= had {
		t.Error("the disk is free again, and nothing is stored")
	}
}
