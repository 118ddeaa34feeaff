package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/imageserver"
	"github.com/imagefs/imagefs/web"
)

const serveHelp = `Serve runs an Image API v2 server on a directory: for trying imagefs out, for tests
and development. It knows no users: whoever reaches it may change every image. So it
listens on the loopback interface unless --listen names another host.`

// headerLimit bounds how long a client may take for its headers, and unaskedLimit how long
// a connection stays open on which it asks nothing, so that these do not add up. Bodies
// have no limit: an image takes as long as it takes.
const (
	headerLimit  = 30 * time.Second
	unaskedLimit = 2 * time.Minute
)

// drainLimit is how long transfers under way may go on after the first signal.
const drainLimit = 30 * time.Second

func serveCommand(std streams) *cobra.Command {
	var listen string
	o := imageserver.Options{}
	cmd := &cobra.Command{
		Use:     "serve [flags] --dir DIR",
		Short:   "Run an embedded Image API server",
		Long:    serveHelp,
		Example: "  imagefs serve --dir /tmp/images\n  imagefs serve --dir /tmp/images --no-ranges --latency 50ms",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Dir == "":
				return usageError(cmd, errors.New("--dir DIR is missing"))
			case o.Latency < 0:
				return usageError(cmd, errors.New("--latency: a time cannot be negative"))
			}
			o.Logger = newLogger(std.Err, config.LogText, slog.LevelInfo)
			return serve(cmd.Context(), o, listen, std)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&o.Dir, "dir", "", "`DIR` that keeps the images (made if missing)")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9292", "`ADDRESS` to listen on; port 0 takes a free one")
	cmd.Flags().BoolVar(&o.NoRanges, "no-ranges", false, "refuse ranged reads, as rbd, swift and s3 stores do")
	cmd.Flags().DurationVar(&o.Latency, "latency", 0, "wait this `DURATION` before every answer, as a far away service would")
	return cmd
}

func serve(ctx context.Context, o imageserver.Options, listen string, std streams) error {
	interrupts := watchInterrupts(ctx, unix.SIGINT, unix.SIGTERM)
	defer interrupts.stop()
	e, err := startEmbedded(o, listen)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.Out, "listening on %s; mount it with: imagefs mount --endpoint %s MOUNTPOINT\n", e.url, e.url)
	if err == nil {
		select {
		case <-interrupts.first.Done():
		case <-e.failed:
		}
	}
	return errors.Join(err, e.stop(interrupts.second))
}

// embedded is a running embedded server.
type embedded struct {
	url    string
	server *imageserver.Server
	http   *http.Server
	failed chan struct{} // closed when serving has ended, with err
	err    error
}

// startEmbedded opens the directory and listens. The caller calls stop.
func startEmbedded(o imageserver.Options, listen string) (*embedded, error) {
	address, err := loopbackAddress(listen)
	if err != nil {
		return nil, fail(exitUsage, "--listen: %w", err)
	}
	server, err := imageserver.New(o)
	if err != nil {
		return nil, fail(localCode(err), "%w: name a directory that is yours with --dir", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errors.Join(fail(exitListen, "%w: choose another address with --listen", err), server.Close())
	}
	at, ok := listener.Addr().(*net.TCPAddr)
	open := ok && !at.IP.IsLoopback()
	e := &embedded{
		url: "http://" + listener.Addr().String(), server: server, failed: make(chan struct{}),
		http: &http.Server{
			// It knows no users: every page of the web that is open on this host could be one.
			Handler:           web.SameHost(open, http.NewCrossOriginProtection().Handler(server)),
			ReadHeaderTimeout: headerLimit, IdleTimeout: unaskedLimit,
			ErrorLog: slog.NewLogLogger(logHandler(o.Logger), slog.LevelWarn),
		},
	}
	go func() {
		defer close(e.failed)
		e.err = e.http.Serve(listener)
	}()
	return e, nil
}

func logHandler(log *slog.Logger) slog.Handler {
	if log == nil {
		return slog.DiscardHandler
	}
	return log.Handler()
}

// stop lets transfers under way end for a while, or until ctx ends, and closes the
// directory.
func (e *embedded) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	err := e.http.Shutdown(ctx)
	if ctx.Err() != nil { // whoever still reads is cut off: uploads under way count as failed
		err = e.http.Close()
	}
	<-e.failed
	if !errors.Is(e.err, http.ErrServerClosed) {
		err = errors.Join(err, fail(exitListen, "%w: listening has ended", e.err))
	}
	return errors.Join(err, e.server.Close())
}

// loopbackAddress makes an address without a host one of this machine only.
func loopbackAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("%q is not HOST:PORT: write for example 127.0.0.1:9292", listen)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
