package main

import (
	"context"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// startWatchdog tells systemd twice in each of its intervals (WatchdogSec=) that the daemon
// is well, until stop. look takes the daemon's locks, and looks at its disks: while one is
// held for ever, or does not answer, systemd is told nothing, ends the daemon, and starts
// another. So stop waits for leaveLimit at most, and reports whether nothing looks any more.
func (l life) startWatchdog(look func()) (stop func() bool) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		l.log.Warn("the watchdog of systemd cannot be served: it will end this mount", "error", err)
	}
	if interval <= 0 {
		return func() bool { return true }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticks := time.NewTicker(interval / 2)
		defer ticks.Stop()
		for {
			look()
			l.notify(systemd.SdNotifyWatchdog)
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
		}
	}()
	return func() bool {
		cancel()
		select {
		case <-done:
			return true
		case <-time.After(leaveLimit):
			l.log.Warn("the daemon ends while a look at itself hangs: a local disk does not answer")
			return false
		}
	}
}
