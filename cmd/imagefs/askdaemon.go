package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/localdir"
	"github.com/imagefs/imagefs/metrics"
)

// peerPID is the process at the other end of a unix socket.
func peerPID(conn net.Conn) (int, error) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// errNoDaemon: no daemon answers for the mountpoint.
var errNoDaemon = errors.New("no daemon answers")

// errStuck: there is a daemon, and it does not answer.
var errStuck = fmt.Errorf("its daemon does not answer within %s", askTimeout)

// daemon is a running daemon, as its socket knows it.
type daemon struct {
	socket string
	pid    int
}

// findDaemon finds the daemon of a mountpoint; errNoDaemon when there is none.
func findDaemon(ctx context.Context, t target) (daemon, error) {
	owner := t.owner()
	dirs := runtimeDirs(owner, os.Getenv)
	if owner != os.Geteuid() {
		dirs = append(dirs, runtimeDirs(os.Geteuid(), os.Getenv)...)
	}
	why := errNoDaemon
	for _, dir := range dirs {
		err := localdir.Check(dir, owner)
		if err != nil && owner != os.Geteuid() {
			err = localdir.Check(dir, os.Geteuid())
		}
		if err != nil {
			continue // not a directory that a daemon of theirs would use
		}
		d := daemon{socket: filepath.Join(dir, socketName(t.path))}
		dialer := net.Dialer{Timeout: askTimeout}
		conn, err := dialer.DialContext(ctx, "unix", d.socket)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				why = fmt.Errorf("%w: %w", errNoDaemon, err)
			}
			continue
		}
		d.pid, err = peerPID(conn)
		if err = errors.Join(err, conn.Close()); err != nil {
			return daemon{}, err
		}
		return d, nil
	}
	return daemon{}, why
}

// ask returns what the daemon is doing, as it says it.
func (d daemon) ask(ctx context.Context) (metrics.Snapshot, error) {
	var s metrics.Snapshot
	err := d.request(ctx, http.MethodGet, statusPath, http.StatusOK, func(body io.ReadCloser) error { return readAnswer(body, &s) })
	return s, err
}

// readAnswer reads an answer that is one JSON value.
func readAnswer(body io.ReadCloser, into any) error {
	return json.NewDecoder(http.MaxBytesReader(nil, body, maxAnswer)).Decode(into)
}

// end tells the daemon to end without waiting. It returns when the daemon has
// heard it.
func (d daemon) end(ctx context.Context) error {
	return d.request(ctx, http.MethodPost, endPath, http.StatusAccepted, func(io.ReadCloser) error { return nil })
}

// request asks for what a daemon has in memory.
func (d daemon) request(ctx context.Context, method, path string, want int, read func(body io.ReadCloser) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errStuck)
	defer cancel()
	err := d.exchange(ctx, method, path, nil, want, read)
	if err != nil && errors.Is(context.Cause(ctx), errStuck) {
		return errStuck
	}
	return err
}

// attended asks for what the daemon may have to ask the service for, and hands out as it
// comes: for as long as that takes, but while it is waited for the daemon has to answer
// what it is asked beside. what is asked goes along as JSON, where it is not nil.
func (d daemon) attended(ctx context.Context, method, path string, what any, read func(body io.ReadCloser) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	attending := make(chan struct{})
	go func() {
		defer close(attending)
		d.attend(ctx, cancel)
	}()
	err := d.exchange(ctx, method, path, what, http.StatusOK, read)
	stuck := errors.Is(context.Cause(ctx), errStuck)
	cancel(nil)
	<-attending
	if err != nil && stuck {
		return errStuck
	}
	return err
}

// attend cancels when the daemon does not answer. What it says otherwise, also that it
// has ended, whoever waits for the answer learns from that.
func (d daemon) attend(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(attendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := d.ask(ctx); errors.Is(err, errStuck) {
			cancel(errStuck)
			return
		}
	}
}

// exchange is request without a bound of its own.
func (d daemon) exchange(ctx context.Context, method, path string, what any, want int, read func(body io.ReadCloser) error) error {
	dialer := net.Dialer{}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", d.socket)
	}}
	var body io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://imagefs"+path, body)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() // read only: closing cannot lose anything
	if answer.StatusCode != want {
		return fmt.Errorf("the daemon answers %s: is it of another version?", answer.Status)
	}
	var said *failure
	if err := read(answer.Body); errors.As(err, &said) {
		return err
	} else if err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	return nil
}
