package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
)

// Go cannot fork, so `imagefs mount` starts itself again as `imagefs daemon` in a
// session of its own. The configuration goes through one pipe, which keeps the
// token out of argv; secrets in OS_* variables stay in the environment,
// where only the same user and root see them; how the start went comes back through
// another. Both ends know the numbers of these files.
const (
	configFD = 3 // the daemon reads what it was told
	reportFD = 4 // the daemon writes one report
)

// order is what a daemon is told.
type order struct {
	Mountpoint string        `json:"mountpoint"`
	LogFile    string        `json:"log_file"`
	Config     config.Config `json:"config"`
	Level      levelSource   `json:"level"`
}

// report is what a daemon says once: that the mount answers, or why there is none.
type report struct {
	Ready bool     `json:"ready"`
	Notes []string `json:"notes,omitempty"` // for the user, a line each
	Error string   `json:"error,omitempty"`
	Code  exitCode `json:"code,omitempty"`
}

// maxReport, in bytes, bounds what the parent reads: an error of one line, or a
// line for each kept draft.
const maxReport = 1 << 20

// startDaemon starts the daemon and returns when its mount answers, or with its
// error. Ctrl-C ends the start.
func startDaemon(ctx context.Context, o order, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd, in, out, err := spawn(o.Mountpoint, stderr)
	if err != nil {
		return fail(exitInternal, "the daemon cannot be started: %w", err)
	}
	defer out.Close() // read only: closing cannot lose anything
	_, err = in.Write(text)
	if err = errors.Join(err, in.Close()); err != nil && !errors.Is(err, unix.EPIPE) { // a daemon that is dead says so below
		return errors.Join(fail(exitInternal, "the daemon cannot be started: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	cancelled := context.AfterFunc(ctx, func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // it may have ended by itself
	})
	defer cancelled()
	var r report
	if err := json.NewDecoder(io.LimitReader(out, maxReport)).Decode(&r); err != nil {
		waitErr := cmd.Wait() // the pipe is closed: it has ended, or is about to
		if ctx.Err() != nil {
			return fail(exitInterruptedBy, "interrupted: nothing was mounted")
		}
		return fail(exitInternal, "the daemon ended before its mount answered (%v): see %s", waitErr, o.LogFile)
	}
	if !r.Ready {
		// It ends by itself right after its report; its own code is in there.
		_ = cmd.Wait()
		return &failure{code: r.Code, err: errors.New(r.Error)}
	}
	for _, note := range r.Notes {
		if _, err := fmt.Fprintf(stderr, "imagefs: %s\n", note); err != nil {
			return err
		}
	}
	return cmd.Process.Release()
}

// spawn starts this program as a daemon, in a session of its own so that a closed
// terminal does not end it. It gets no file of ours but the two pipes, not even
// what this process inherited (a lock held by the calling script, say).
func spawn(mountpoint string, stderr io.Writer) (cmd *exec.Cmd, in, out *os.File, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	configR, configW, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, configR.Close(), configW.Close())
	}
	cmd = exec.Command(program, "daemon", mountpoint) // the mountpoint is for who looks at ps
	cmd.Args[0] = "imagefs"
	cmd.Stderr = stderr // until its log is open
	cmd.ExtraFiles = []*os.File{configR, reportW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Kernels before 5.11 lack the flag: then the daemon keeps what we inherited.
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	err = errors.Join(cmd.Start(), configR.Close(), reportW.Close()) // the daemon has its own
	if err != nil {
		return nil, nil, nil, errors.Join(err, configW.Close(), reportR.Close())
	}
	return cmd, configW, reportR, nil
}

// daemonCommand is the other side of startDaemon; people do not run it.
func daemonCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:    "daemon MOUNTPOINT",
		Short:  "Serve a mount (started by imagefs mount)",
		Hidden: true,
		Args:   exactly(1, "the mountpoint"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, out := os.NewFile(configFD, "configuration"), os.NewFile(reportFD, "report")
			o, err := readOrder(in)
			if err != nil {
				return fail(exitUsage, "daemon is started by imagefs mount, not by hand: %w", err)
			}
			unix.CloseOnExec(reportFD) // fusermount3 must not hold it open
			return runDaemon(cmd.Context(), o, out)
		},
	}
}

func readOrder(in *os.File) (order, error) {
	var o order
	if in == nil {
		return o, errors.New("no configuration")
	}
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return o, err
	}
	return o, in.Close()
}

// runDaemon is the life of a daemon. Everything it has to say after its report
// goes to its log.
func runDaemon(ctx context.Context, o order, out *os.File) error {
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE) // a closed terminal or pipe must not leave a dead mount
	reported := false
	tell := func(r report) error {
		reported = true
		err := json.NewEncoder(out).Encode(r)
		return errors.Join(err, out.Close())
	}
	err := daemonLife(ctx, o, tell)
	if err == nil || reported {
		return hush(err)
	}
	return hush(errors.Join(err, tell(report{Error: oneLine(err), Code: codeOf(err)})))
}

// hush keeps the exit code of an error that was told elsewhere.
func hush(err error) error {
	if err == nil {
		return nil
	}
	return &failure{code: codeOf(err), err: errReported}
}

func daemonLife(ctx context.Context, o order, tell func(report) error) error {
	file, err := openLog(o.LogFile, maxLog, becomeStderr)
	if err != nil {
		return err
	}
	log, reread := o.Level.newLogger(file, o.Config)
	err = liveMount(ctx, life{
		mountpoint: o.Mountpoint, logFile: o.LogFile, config: o.Config, log: log, reread: reread,
		ready: func(notes []string) error {
			return tell(report{Ready: true, Notes: notes})
		},
	})
	if err != nil {
		log.Error("the mount has ended", "error", err)
	}
	return errors.Join(err, file.Close())
}
