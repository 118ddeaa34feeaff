package upgrade

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/test/daemon"
)

// content is what a file of a fixture has: text that takes little room in a repository.
func content(name string, size int) []byte {
	line := []byte(name + " as it was written\n")
	return bytes.Repeat(line, size/len(line)+1)[:size]
}

// compressed is content that a commit refuses.
func compressed() []byte {
	var text bytes.Buffer
	z := gzip.NewWriter(&text)
	_, err := z.Write(content("failed.img", small))
	if err = errors.Join(err, z.Close()); err != nil { // a buffer takes all
		panic(err)
	}
	return text.Bytes()
}

// Sizes, in bytes: files that are small, and of whose image more than the first block of
// the cache is needed.
const (
	small = 3000
	large = 2*128<<10 + 700
)

// patchAt is where edited.img was written over, by patch.
const patchAt = 1000

var patch = []byte("written over it")

// changedAt is what attributes.img was given as its modification time.
var changedAt = time.Date(2020, 2, 3, 4, 5, 6, 700, time.UTC)

// heldRequests are those at which the work stops: each leaves a draft, or a rename, in
// another state.
var heldRequests = []string{
	"POST committing.img", "POST edited.img", "PUT created.img", "PATCH uploaded.img", "DELETE visible.img", "DELETE target.img", "POST owed.img",
}

// writeFixtures makes testdata/NAME by two mounts that are killed in the middle of their work.
func writeFixtures(dir, name string) (err error) {
	to := filepath.Join("testdata", name)
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s exists: what an earlier version wrote is never changed", to)
	}
	served := filepath.Join(dir, "served")
	s, err := newService(served, heldRequests...)
	if err != nil {
		return err
	}
	held := map[string]chan struct{}{}
	for what, reached := range s.held {
		held[what] = reached
	}
	for _, each := range []struct {
		name string
		size int
	}{
		{"whole.img", large}, {"partial.img", large}, {"visible.img", small}, {"moved.img", small}, {"target.img", small + 1},
		{"edited.img", small}, {"attributes.img", small}, {"trashed.img", small},
	} {
		if err := s.put(each.name, content(each.name, each.size)); err != nil {
			return err
		}
	}
	plain, behind := filepath.Join(dir, "plain"), filepath.Join(dir, "behind")
	if err := errors.Join(os.Mkdir(plain, 0o700), os.Mkdir(behind, 0o700)); err != nil {
		return err
	}
	a, err := daemon.New(binary, plain, "--endpoint", endpoint)
	if err != nil {
		return err
	}
	b, err := daemon.New(binary, behind, "--endpoint", endpoint, "--writeback", "--trash", "24000h", "--staging-dir", a.Staging)
	if err != nil {
		return errors.Join(err, a.Kill())
	}
	var ended sync.WaitGroup
	gone := make(chan struct{})
	err = work(a, b, &ended, gone)
	deadline := time.After(daemon.Patience)
	for what, reached := range held {
		if err != nil {
			break
		}
		select {
		case <-reached:
		case <-deadline:
			err = fmt.Errorf("nobody asked for %s", what)
		}
	}
	err = errors.Join(err, a.Kill(), b.Kill())
	close(gone)
	ended.Wait()
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	return errors.Join(keep(filepath.Join(to, "served"), served), keep(filepath.Join(to, "staging"), a.Staging), keep(filepath.Join(to, "cache"), a.Cache))
}

// work does what leaves something to read. What does not come to its end while the service
// is silent is added to ended; what is still open is closed when the daemons are gone.
func work(a, b *daemon.Daemon, ended *sync.WaitGroup, gone <-chan struct{}) error {
	if _, err := os.ReadFile(filepath.Join(a.Mountpoint, "whole.img")); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(a.Mountpoint, "partial.img"))
	if err != nil {
		return err
	}
	if _, err := f.ReadAt(make([]byte, 10), 0); err != nil {
		return err
	}
	if err := errors.Join(f.Close(), cached(a)); err != nil {
		return err
	}
	attributes := filepath.Join(a.Mountpoint, "attributes.img")
	if err := errors.Join(os.Chmod(attributes, 0o640), os.Chtimes(attributes, changedAt, changedAt), syncFile(attributes)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(b.Mountpoint, "trashed.img")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.Mountpoint, "failed.img"), compressed(), 0o600); !errors.Is(err, unix.EINVAL) {
		return errors.Join(errors.New("a compressed file was not refused as that"), err)
	}
	if err := killWriter(a, filepath.Join(a.Mountpoint, "abandoned.img")); err != nil {
		return err
	}
	for _, each := range []struct {
		on    *daemon.Daemon
		name  string
		data  []byte
		off   int64
		flag  int
		stays bool // open
	}{
		{on: a, name: "committing.img"}, {on: a, name: "created.img"}, {on: a, name: "uploaded.img"}, {on: a, name: "visible.img", flag: os.O_TRUNC},
		{on: a, name: "edited.img", data: patch, off: patchAt}, {on: a, name: "open.img", stays: true}, {on: b, name: "owed.img"},
	} {
		if each.data == nil {
			each.data = content(each.name, small)
		}
		path := filepath.Join(each.on.Mountpoint, each.name)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|each.flag, 0o600)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(each.data, each.off); err != nil {
			return err
		}
		if each.name == "created.img" { // a journal with settings has another version
			if err := unix.Setxattr(path, "user.image.property.color", []byte("red"), 0); err != nil {
				return err
			}
		}
		if err := f.Sync(); err != nil {
			return err
		}
		ended.Go(func() { // with the daemon, by an error, where the service does not answer
			if each.stays {
				<-gone
			}
			_ = f.Close()
		})
	}
	ended.Go(func() { // so does this
		_ = os.Rename(filepath.Join(a.Mountpoint, "moved.img"), filepath.Join(a.Mountpoint, "target.img"))
	})
	return nil
}

// half is what a writer has written when it is killed.
const half = "half"

func killWriter(d *daemon.Daemon, path string) error {
	cp := exec.Command("cp", "/dev/stdin", path)
	stdin, err := cp.StdinPipe()
	if err != nil {
		return err
	}
	if err := cp.Start(); err != nil {
		return err
	}
	_, err = io.WriteString(stdin, half)
	if err == nil {
		err = d.Until("the writer has written", func() (bool, error) {
			info, err := os.Stat(path)
			return err == nil && info.Size() == int64(len(half)), nil
		})
	}
	if err = errors.Join(err, cp.Process.Kill()); cp.Wait() == nil {
		err = errors.Join(err, errors.New("the writer was not killed"))
	}
	return err
}

// syncFile sends what waits to be sent of a file.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// cached waits until the cache on disk has what was read, and has verified the whole image.
func cached(d *daemon.Daemon) error {
	return d.Until("the disk cache has what was read", func() (bool, error) {
		text, err := exec.Command(binary, "status", "--json", d.Mountpoint).Output()
		if err != nil {
			return false, err
		}
		var status struct {
			Cache struct {
				Disk struct {
					Written  int64 `json:"written_bytes"`
					Verified int64 `json:"verified_images"`
				} `json:"disk"`
			} `json:"cache"`
		}
		err = json.Unmarshal(text, &status)
		return status.Cache.Disk.Verified == 1 && status.Cache.Disk.Written >= large+128<<10, err
	})
}

// bootID is what the fixtures have in the place of this machine's: they were written before
// the last boot of every machine.
const bootID = "00000000-0000-4000-8000-000000000000"

var boots = regexp.MustCompile(`"boot":"[^"]*"`)

// keep copies what a daemon left, without what tells of this machine.
func keep(to, from string) error {
	return filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		switch target := filepath.Join(to, relative); {
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(target, 0o755)
		case e.Name() == "lock":
			return nil
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if slices.Contains([]string{".json", ".rename"}, filepath.Ext(path)) && strings.Contains(path, "/staging/") {
				text = boots.ReplaceAll(text, []byte(`"boot":"`+bootID+`"`))
			}
			return os.WriteFile(target, text, 0o644)
		}
	})
}
