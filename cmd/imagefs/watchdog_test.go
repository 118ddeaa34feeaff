package main

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// A look at the daemon that a disk holds does not hold its end.
func TestWatchdogStops(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("NOTIFY_SOCKET", "")
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			disk := make(chan struct{})
			stop := life{log: slog.New(slog.NewTextHandler(&log, nil))}.startWatchdog(func() {
				if hangs {
					<-disk
				}
			})
			synctest.Wait()
			if ended := stop(); ended == hangs || strings.Contains(log.String(), "hangs") != hangs {
				t.Errorf("hangs %v: ended %v, and says %s", hangs, ended, log.String())
			}
			close(disk)
		})
	}
}
