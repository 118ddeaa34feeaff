package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// Patience bounds every wait; nothing is expected to take so long.
const Patience = time.Minute

// Daemon is the binary on one mountpoint. It is used by one goroutine, but for Signal.
type Daemon struct {
	Mountpoint string
	Staging    string // its staging directory
	Cache      string // its cache directory
	Log        string // the file of its log, of all its lives

	binary string
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{}
	status error // how it ended; to be read after ended
}

// New mounts below dir, which it makes what it needs in. The args, of imagefs mount,
// say which service.
func New(binary, dir string, args ...string) (*Daemon, error) {
	d := &Daemon{
		Mountpoint: filepath.Join(dir, "mnt"), Staging: filepath.Join(dir, "staging"),
		Cache: filepath.Join(dir, "cache"), Log: filepath.Join(dir, "log"), binary: binary,
	}
	d.args = append([]string{
		"--foreground", "--log-level", "debug", "--staging-dir", d.Staging, "--cache-dir", d.Cache,
	}, args...)
	d.args = append(d.args, d.Mountpoint)
	if err := os.Mkdir(d.Mountpoint, 0o755); err != nil {
		return nil, err
	}
	return d, d.Mount()
}

// Mount starts the binary and waits until the mount answers. It may be called again after
// Unmount, Kill or Crash. The args are for this life of it.
func (d *Daemon) Mount(args ...string) (err error) {
	log, err := os.OpenFile(d.Log, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }() // the daemon has its own
	before, err := os.ReadFile(d.Log)
	if err != nil {
		return err
	}
	d.ended = make(chan struct{})
	d.cmd = exec.Command(d.binary, append(append([]string{"mount"}, d.args...), args...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(d.ended)
		d.status = d.cmd.Wait()
	}()
	err = d.Until("the mount answers", func() (bool, error) {
		select {
		case <-d.ended:
			return false, fmt.Errorf("the daemon ended before it mounted: %w", d.status)
		default: // the mount table has it before it answers
			text, err := os.ReadFile(d.Log)
			return err == nil && bytes.Contains(text[len(before):], []byte("msg=mounted ")), err
		}
	})
	if err != nil {
		err = errors.Join(err, d.Kill()) // it may mount yet
	}
	return err
}

// Until waits for what the daemon does by itself, Patience at most.
func (d *Daemon) Until(what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(Patience); ; time.Sleep(2 * time.Millisecond) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for this: %s", what)
		}
	}
}

// Settled waits until no more than so many drafts are left in staging.
func (d *Daemon) Settled(drafts int) error {
	return d.Until("the drafts of closed files are gone", func() (bool, error) {
		left, err := filepath.Glob(filepath.Join(d.Staging, "*", "*.data"))
		return len(left) <= drafts, err
	})
}

// Leftovers are the files in staging.
func (d *Daemon) Leftovers() ([]string, error) {
	return filepath.Glob(filepath.Join(d.Staging, "*", "*"))
}

// Unmount unmounts and waits for the end of the daemon, which must be a good one.
func (d *Daemon) Unmount() error {
	if out, err := exec.Command(d.binary, "unmount", d.Mountpoint).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount: %w: %s", err, out)
	}
	select {
	case <-d.ended:
		return d.status
	case <-time.After(Patience):
		return errors.New("the daemon did not end after the unmount")
	}
}

// Kill ends the daemon and the mount, whatever their state: what waits for it fails.
func (d *Daemon) Kill() error {
	select {
	case <-d.ended:
		return nil
	default:
	}
	var err error
	if is, merr := mountinfo.Mounted(d.Mountpoint); is || merr != nil {
		// By force at first: it ends requests. A daemon that is killed while it asks its own
		// mount, as it does when it begins, would wait for itself for ever.
		if err = syscall.Unmount(d.Mountpoint, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil { // we are not root
			err = exec.Command("fusermount3", "-uz", d.Mountpoint).Run()
		}
		err = errors.Join(err, merr)
	}
	if kerr := d.cmd.Process.Kill(); !errors.Is(kerr, os.ErrProcessDone) {
		err = errors.Join(err, kerr)
	}
	<-d.ended
	return err
}

// Crash ends the daemon as a machine does that is short of memory, and takes the dead mount
// away as OPERATIONS tells. Between the two it calls dead, while all that is done on the
// mount fails.
func (d *Daemon) Crash(dead func()) error {
	if err := d.cmd.Process.Kill(); err != nil {
		return err
	}
	dead()
	if out, err := exec.Command(d.binary, "unmount", "--force", d.Mountpoint).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount --force: %w: %s", err, out)
	}
	<-d.ended
	return nil
}

// Tail is the end of the daemon's log, and all that it says of its goroutines where
// it was ended for taking too long.
func (d *Daemon) Tail() string {
	const enough = 6000 // bytes
	text, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	from := max(0, len(text)-enough)
	if at := bytes.LastIndex(text, []byte("SIGQUIT")); at >= 0 {
		from = min(from, at)
	}
	return string(text[from:])
}

// About are the lines of the log that have one of the words, but not more than the last most.
func (d *Daemon) About(words []string, most int) []string {
	text, err := os.ReadFile(d.Log)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found[max(0, len(found)-most):]
}

// Complaints are the lines of the log that say that something went wrong.
func (d *Daemon) Complaints() []string {
	text, err := os.ReadFile(d.Log)
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

// Signal sends the daemon a signal. It may be called beside everything else.
func (d *Daemon) Signal(s os.Signal) error { return d.cmd.Process.Signal(s) }

// Pid is the process id of the daemon.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }
