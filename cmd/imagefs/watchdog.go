package main

import (
	"context"
	"sync"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// startWatchdog tells systemd twice in each of its intervals (WatchdogSec=) that the daemon
// is well, until stop, which waits for the goroutine that does. look takes the daemon's
// locks: while one is held for ever systemd is told nothing, ends the daemon, and starts
// another.
func (l life) startWatchdog(look func()) (stop func()) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		l.log.Warn("the watchdog of systemd cannot be served: it will end this mount", "error", err)
	}
	if interval <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
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
	})
	return func() {
		cancel()
		done.Wait()
	}
}
