package main

import (
	"context"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// maxRemains is how many images doctor names: more would hide what else it says.
const maxRemains = 5

// remains names images that imagefs has begun, and whose file is not in staging: that was
// lost, or another machine has it, which only the user can tell. They are hidden, so that
// nothing else shows them.
func (d *doctor) remains(ctx context.Context, service *client.Client, c config.Config) {
	if c.ReadOnly {
		return
	}
	drafts, err := staging.Survey(c.StagingDir)
	if err != nil {
		return // which directories has said
	}
	here := map[string]bool{}
	for _, k := range drafts {
		here[k.Draft] = true
	}
	var found []image.Image
	_, err = service.List(ctx, client.Filter{Hidden: true, Owner: service.Project()}, func(page []image.Image) error {
		for _, img := range page {
			if draft := img.Properties[image.PropertyDraft]; draft != "" && !here[draft] {
				found = append(found, img)
			}
		}
		return nil
	})
	if err != nil {
		d.note("remains", "the hidden images cannot be listed: %s", oneLine(err))
		return
	}
	for i, img := range found {
		if i == maxRemains {
			d.note("remains", "%d more such images", len(found)-maxRemains)
			return
		}
		d.note("remains", "image %s (%q, hidden, of %s) was begun by imagefs, and its file is not in %s: if no other machine has that, openstack image delete %s",
			img.ID, img.Name, img.CreatedAt.UTC().Format(time.DateTime), c.StagingDir, img.ID)
	}
}
