package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	imageapi "github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// gophercloudCommand makes this program one that lists by gophercloud:
// `bench gophercloud ENDPOINT TOKEN COUNT`.
const gophercloudCommand = "gophercloud"

// listByGophercloud lists all images of a service, as a program does that was written
// in an hour, with the largest pages.
func listByGophercloud(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s: ENDPOINT, TOKEN and COUNT are missing", gophercloudCommand)
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return fmt.Errorf("%s: %w", gophercloudCommand, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client := &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: args[1]},
		Endpoint:       args[0] + "/", ResourceBase: args[0] + "/v2/", Type: "image",
	}
	pages, err := imageapi.List(client, imageapi.ListOpts{Limit: perPage}).AllPages(ctx)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	all, err := imageapi.ExtractImages(pages)
	if err != nil {
		return fmt.Errorf("read images: %w", err)
	}
	if len(all) != count {
		return fmt.Errorf("gophercloud lists %d images, not %d", len(all), count)
	}
	return nil
}

// runSelf runs this program as another one.
func (l *lab) runSelf(ctx context.Context, args ...string) (taken time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	return l.run(ctx, self, args...)
}
