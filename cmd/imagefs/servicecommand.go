package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
)

// whoAsks are the options that name the service and who asks it.
var whoAsks = []string{"cloud", "endpoint", "insecure"}

// insecureNote says aloud that the certificate is not looked at.
const insecureNote = "the certificate of the service is not verified: whoever answers for it gets your credentials (--insecure, $OS_INSECURE or verify: false)"

// withService runs do with a client of the service, without a mount, until it ends or
// the user ends it. An error of the service gets its exit code.
func withService(cmd *cobra.Command, options *optionFlags, std streams, do func(ctx context.Context, service *client.Client, c config.Config) error) error {
	return options.run(cmd, func(ctx context.Context, c config.Config) error {
		// What was changed, and why not, the command says itself.
		log := newLogger(std.Err, c.LogFormat, max(c.LogLevel, slog.LevelError))
		service, err := dialService(ctx, c, log)
		if err == nil {
			defer service.Close()
			if service.Insecure() { // whoever cannot be told of it goes on all the same
				_, _ = fmt.Fprintf(std.Err, "imagefs: %s\n", insecureNote)
			}
			err = do(ctx, service, c)
		}
		var own *failure
		switch {
		case err == nil:
			return nil
		case errors.As(err, &own):
			return err
		case ctx.Err() != nil:
			return fail(exitInterruptedBy, "interrupted")
		}
		return serviceFailure(err, c.Cloud, c.Endpoint)
	})
}

// dialService makes a client of the service for who asks it little. The caller closes it.
func dialService(ctx context.Context, c config.Config, log *slog.Logger) (*client.Client, error) {
	release, _ := buildVersion()
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	return client.Dial(ctx, client.Options{
		Cloud: c.Cloud, Endpoint: c.Endpoint, Token: c.Token.Reveal(), Insecure: c.Insecure, UserAgent: "imagefs/" + release, Logger: log,
	})
}
