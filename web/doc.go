// Package web serves what a mount tells about itself to those who look from elsewhere,
// by HTTP: / is a page for people (page/, one answer with its style and script), which asks
// /api/status and /api/blocks; /metrics is for Prometheus, /healthz for whoever restarts or
// routes, and, where it was asked for, /debug/pprof. It changes nothing, and knows no users: who reaches the
// address may read it.
//
// Goroutines: one that accepts, and net/http's for each connection, of which there are
// 32 at most. Close ends all of them, and every answer under way.
package web
