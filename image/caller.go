package image

import (
	"context"
	"log/slog"
)

// Caller is the process on whose behalf a request to the service is made. It
// travels in the context, so that every change can be logged with who asked.
type Caller struct {
	UID     uint32
	PID     uint32
	Command string // the process's short name; "" when it cannot be read
}

type callerKey struct{}

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller in ctx and whether there is one.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// LogValue groups uid, pid and command for the log.
func (c Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("uid", uint64(c.UID)), slog.Uint64("pid", uint64(c.PID)), slog.String("command", c.Command))
}
