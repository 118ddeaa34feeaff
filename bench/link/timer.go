package link

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timer sleeps to within some 50 µs. time.Sleep is up to 1 ms late, which would be
// 5% of a round trip of 20 ms. One goroutine uses it, and closes it.
type timer struct {
	fd   int
	file *os.File
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	return &timer{fd: fd, file: os.NewFile(uintptr(fd), "timer")}, nil
}

// until sleeps until t.
func (t *timer) until(when time.Time) error {
	wait := time.Until(when)
	if wait <= 0 {
		return nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(wait.Nanoseconds())}
	if err := unix.TimerfdSettime(t.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	var expirations [8]byte
	_, err := t.file.Read(expirations[:])
	return err
}

func (t *timer) close() {
	// A timer has nothing that could be lost.
	_ = t.file.Close()
}
