package main

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// processEnd watches for the end of one process, also when its pid is used again.
type processEnd struct {
	fd int // -1 when it had ended already
}

func watchEnd(pid int) (*processEnd, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return &processEnd{fd: -1}, nil
	}
	if err != nil {
		return nil, err
	}
	return &processEnd{fd: fd}, nil
}

// wait waits up to d and says whether the process has ended.
func (p *processEnd) wait(d time.Duration) (bool, error) {
	if p.fd < 0 {
		return true, nil
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(d.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}

// kill ends the process by force.
func (p *processEnd) kill() error {
	if p.fd < 0 {
		return nil
	}
	err := unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func (p *processEnd) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd) // a pidfd holds no data
	}
}
