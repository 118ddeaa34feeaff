package model

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// patience bounds every wait; nothing is expected to take so long.
const patience = time.Minute

// daemon is the binary on one mountpoint.
type daemon struct {
	mountpoint, staging, log string
	args                     []string
	cmd                      *exec.Cmd
	ended                    chan struct{}
	status                   error // how it ended; to be read after ended
}

// newDaemon mounts the service below dir, which it makes what it needs in.
func newDaemon(dir, endpoint string, args ...string) (*daemon, error) {
	d := &daemon{mountpoint: filepath.Join(dir, "mnt"), staging: filepath.Join(dir, "staging"), log: filepath.Join(dir, "log")}
	d.args = append([]string{
		"mount", "--foreground", "--log-level", "debug", "--endpoint", endpoint,
		"--staging-dir", d.staging, "--cache-dir", filepath.Join(dir, "cache"),
	}, args...)
	d.args = append(d.args, d.mountpoint)
	if err := os.Mkdir(d.mountpoint, 0o755); err != nil {
		return nil, err
	}
	return d, d.mount()
}

func (d *daemon) mount() error {
	log, err := os.OpenFile(d.log, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := os.ReadFile(d.log)
	if err != nil {
		return err
	}
	d.ended = make(chan struct{})
	d.cmd = exec.Command(binary, d.args...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(d.ended)
		d.status = d.cmd.Wait()
	}()
	return d.until("the mount answers", func() (bool, error) {
		select {
		case <-d.ended:
			return false, fmt.Errorf("the daemon ended before it mounted: %w", d.status)
		default: // the mount table has it before it answers
			text, err := os.ReadFile(d.log)
			return err == nil && bytes.Contains(text[len(before):], []byte("msg=mounted ")), err
		}
	})
}

// until waits for what the daemon does by itself.
func (d *daemon) until(what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for this: %s", what)
		}
	}
}

// settled waits until no more than so many drafts are left in staging.
func (d *daemon) settled(drafts int) error {
	return d.until("the drafts of closed files are gone", func() (bool, error) {
		left, err := filepath.Glob(filepath.Join(d.staging, "*", "*.data"))
		return len(left) <= drafts, err
	})
}

// leftovers are the files in staging.
func (d *daemon) leftovers() ([]string, error) {
	return filepath.Glob(filepath.Join(d.staging, "*", "*"))
}

// unmount unmounts and waits for the end of the daemon, which must be a good one.
func (d *daemon) unmount() error {
	if out, err := exec.Command(binary, "unmount", d.mountpoint).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount: %w: %s", err, out)
	}
	select {
	case <-d.ended:
		return d.status
	case <-time.After(patience):
		return errors.New("the daemon did not end after the unmount")
	}
}

// kill ends the daemon and the mount, whatever their state: what waits for it fails.
func (d *daemon) kill() error {
	select {
	case <-d.ended:
		return nil
	default:
	}
	var err error
	if is, merr := mountinfo.Mounted(d.mountpoint); is || merr != nil {
		// By force at first: it ends requests. A daemon that is killed while it asks its own
		// mount, as it does when it begins, would wait for itself for ever.
		if err = syscall.Unmount(d.mountpoint, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil { // we are not root
			err = exec.Command("fusermount3", "-uz", d.mountpoint).Run()
		}
		err = errors.Join(err, merr)
	}
	if kerr := d.cmd.Process.Kill(); !errors.Is(kerr, os.ErrProcessDone) {
		err = errors.Join(err, kerr)
	}
	<-d.ended
	return err
}

// tail is the end of the daemon's log, and all that it says of its goroutines where
// it was ended for taking too long.
func (d *daemon) tail() string {
	const enough = 6000 // bytes
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	from := max(0, len(text)-enough)
	if at := bytes.LastIndex(text, []byte("SIGQUIT")); at >= 0 {
		from = min(from, at)
	}
	return string(text[from:])
}

// complaints are the lines of the log that say that something went wrong.
func (d *daemon) complaints() []string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "level=ERROR") {
			found = append(found, line)
		}
	}
	return found
}
