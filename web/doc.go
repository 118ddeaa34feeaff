// Package web serves what a mount tells about itself to those who look from elsewhere,
// by HTTP: / is a page for people (page/, one answer with its style and script), which asks
// /api/status and /api/blocks; /metrics is for Prometheus, /healthz for whoever restarts or
// routes, and, where it was asked for, /debug/pprof. It changes nothing, and knows no users: who reaches the
// address may read it.
//
// Goroutines: one that accepts, and net/http's for each connection, of which there are
// 32 at most: where all are taken, that which has waited longest for a request gives way.
// Close ends all of them and the contexts of the answers under way, and waits for these as
// long as its caller wants: one that a local disk holds does not end. Answers does so for
// the socket of a daemon, too.
package web
