package main

import (
	"context"

	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/web"
)

// metricsPath is where Prometheus looks unless told otherwise.
const metricsPath = "/metrics"

// openNote says aloud what an address means that others reach.
const openNote = "whoever reaches the address of --metrics can read what this mount does: nobody is asked for a password"

// listenWeb serves the metrics, where they are wanted, until closeWeb.
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

// closeWeb ends what listenWeb began.
func (a *about) closeWeb() error {
	if server := a.web.Load(); server != nil {
		return server.Close()
	}
	return nil
}
