package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Who cannot get the lock of the sockets says who has it, in a bounded time.
func TestLockedSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		unlock, err := lockDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = listenStatus(t.Context(), "/m", []string{dir}, answers{}, quiet)
		if codeOf(err) != exitTimedOut || !strings.Contains(err.Error(), "(pid "+strconv.Itoa(os.Getpid())+")") {
			t.Errorf("code %d: %v", codeOf(err), err)
		}
		if waited := time.Since(start); waited != lockLimit {
			t.Errorf("it was waited for %s, not %s", waited, lockLimit)
		}
		interrupted, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := lockDir(interrupted, dir); codeOf(err) != exitInterruptedBy {
			t.Errorf("interrupted: %v", err)
		}
		time.AfterFunc(time.Second, unlock)
		unlock, err = lockDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	})
}
