package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// interrupts are the signals that end a mount: the first asks, the second does
// not wait.
type interrupts struct {
	first  context.Context // ends with the first signal
	second context.Context // ends with the second
	both   func()          // does what two signals do
	stop   func()          // ends the watching; must be called
}

// watchInterrupts begins to watch. Both contexts end with ctx too.
func watchInterrupts(ctx context.Context, signals ...os.Signal) interrupts {
	first, endFirst := context.WithCancel(ctx)
	second, endSecond := context.WithCancel(ctx)
	came := make(chan os.Signal, 2)
	signal.Notify(came, signals...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, end := range []func(){endFirst, endSecond} {
			select {
			case <-came:
				end()
			case <-second.Done(): // stop, or the end of ctx
				return
			}
		}
	}()
	both := func() {
		endFirst()
		endSecond()
	}
	return interrupts{first: first, second: second, both: both, stop: func() {
		signal.Stop(came)
		both()
		<-ended
	}}
}

// endSignals are the signals that end a mount, SIGHUP where it says that the user has gone.
func endSignals(hangup bool) []os.Signal {
	if hangup {
		return []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP}
	}
	return []os.Signal{unix.SIGINT, unix.SIGTERM}
}
