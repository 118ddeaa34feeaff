// Package web serves what a mount tells about itself to those who look from elsewhere,
// by HTTP: /metrics for Prometheus, /healthz for whoever restarts or routes, and, where it
// was asked for, /debug/pprof. It changes nothing, and knows no users: who reaches the
// address may read it.
//
// Goroutines: one that accepts, and net/http's for each connection, of which there are
// 32 at most. Close ends all of them, and every answer under way.
package web
