package main

import (
	"context"
	"errors"

	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/web"
)

// metricsPath is where Prometheus looks unless told otherwise.
const metricsPath = "/metrics"

// openNote says aloud what an address means that others reach.
const openNote = "whoever reaches the address of --metrics can read what this mount does: nobody is asked for a password"

// listenWeb serves the metrics, where they are wanted, until closeAnswers.
func (l life) listenWeb(ctx context.Context, a *about) error {
	if l.config.Metrics == "" {
		return nil
	}
	server, err := web.Listen(ctx, web.Options{
		Address: l.config.Metrics, Pprof: l.config.Pprof, Snapshot: a.snapshot, Blocks: a.blocks,
		Metrics: metrics.Handler(metrics.NewRegistry(a.snapshot, a.rooms.answered, a.rooms.requests), l.log), Log: l.log,
	})
	if err != nil {
		return fail(exitListen, "%w: choose another address with --metrics", err)
	}
	a.web.Store(server)
	l.log.Info("metrics are served", "url", server.URL()+metricsPath, "pprof", l.config.Pprof)
	return nil
}

// closeAnswers ends what asks the rooms. An answer that a disk holds is left after
// leaveLimit: the rooms are in use then, and end with the process.
func (l life) closeAnswers(ctx context.Context, a *about, socket *web.Answers) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	if server := a.web.Load(); server != nil {
		err = server.Close(ctx)
	}
	err = errors.Join(err, socket.Close(ctx))
	if errors.Is(err, web.ErrUnderWay) {
		l.log.Warn("the daemon ends while an answer about it hangs: a local disk does not answer")
		return false, nil
	}
	return true, err
}
