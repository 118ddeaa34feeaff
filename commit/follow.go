package commit

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// follow brings the checked image to what the one that it replaces is by now: an upload
// takes long, and whom others have meanwhile let see that image, or see it no longer, is
// to see its successor, or not. What must not be replaced any more is refused. retire
// looks once more; so this look is for what must not show even for a moment, and left
// out where the last one was just before.
func (r *run) follow(ctx context.Context, img image.Image) (image.Image, error) {
	if r.plan.from == nil {
		return img, nil
	}
	now := r.plan.old
	if r.plan.adopted == nil {
		if time.Since(r.plan.read) < believed {
			return img, nil
		}
		var err error
		if now, err = r.lookup(ctx, r.plan.old.ID); err != nil || now == nil {
			return img, err
		}
	}
	if r.retired(*now) {
		return img, nil
	}
	if err := now.Replaceable(opReplace); err != nil {
		return img, err
	}
	return r.carry(ctx, img, *now, true)
}

// carry changes of the new image what others have changed of the replaced one, which is
// now as given, and with whom it is shared where members is set.
func (r *run) carry(ctx context.Context, img, now image.Image, members bool) (image.Image, error) {
	before := *r.plan.from
	changes := r.d.Record().Settings.Leave(changed(before, now)) // what was set on the draft is what it shall be
	r.plan.old, r.plan.from, r.plan.hidden = &now, &now, r.asFound(now).StaysHidden()
	if before.Owner != now.Owner {
		if err := r.chown(ctx, img); err != nil {
			return img, err
		}
	}
	has, wanted := r.plan.members, r.plan.members
	if members {
		var err error
		if has, wanted, err = r.sharing(ctx, img, now); err != nil {
			return img, err
		}
	}
	come, leave := without(wanted, has), without(has, wanted)
	// Only a shared image has members that can be changed.
	if img.Visibility == image.VisibilityShared {
		if err := r.unshare(ctx, img, leave); err != nil {
			return img, err
		}
	}
	if len(changes) > 0 {
		err := again(ctx, transient, func(ctx context.Context) error {
			after, err := r.c.service.Update(ctx, img.ID, changes)
			if err == nil {
				img = after
			}
			return err
		})
		if err != nil {
			return img, err
		}
		r.log.Info("the image to replace was changed during the upload; the new one has the changes", "image", img.ID, "replaced", now.ID, "changes", names(changes))
	}
	if img.Visibility == image.VisibilityShared {
		if err := r.share(ctx, img, come); err != nil {
			return img, err
		}
	}
	r.plan.members = wanted
	return img, nil
}

// sharing returns the members that the new image has, and those that it is to have.
func (r *run) sharing(ctx context.Context, img, now image.Image) (has, wanted []image.Member, err error) {
	has = r.plan.members
	if r.plan.adopted != nil {
		if has, err = r.members(ctx, img); err != nil {
			return nil, nil, err
		}
	}
	if now.Visibility != image.VisibilityShared {
		return has, nil, nil
	}
	err = again(ctx, transient, func(ctx context.Context) (err error) {
		wanted, err = r.c.service.Members(ctx, now.ID)
		return err
	})
	if image.Is(err, image.NotFound) { // gone by now: what was known of it holds
		return has, has, nil
	}
	return has, wanted, err
}

// unshare takes members from the new image.
func (r *run) unshare(ctx context.Context, img image.Image, members []image.Member) error {
	for _, m := range members {
		if err := again(ctx, transient, func(ctx context.Context) error { return r.c.service.RemoveMember(ctx, img.ID, m.Project) }); err != nil {
			return err
		}
	}
	return nil
}

// without returns the members of a that are not in b.
func without(a, b []image.Member) []image.Member {
	return slices.DeleteFunc(slices.Clone(a), func(m image.Member) bool {
		return slices.ContainsFunc(b, func(o image.Member) bool { return o.Project == m.Project })
	})
}

// changed returns what a successor of the image has to be given, where others have made
// now of before, of what it takes over.
func changed(before, now image.Image) []image.Change {
	var all []image.Change
	field := func(name string, differs bool, value any) {
		if differs {
			all = append(all, image.Change{Field: name, Value: value})
		}
	}
	field("visibility", now.Visibility != "" && now.Visibility != before.Visibility, string(now.Visibility))
	field("min_disk", now.MinDisk != before.MinDisk, now.MinDisk)
	field("min_ram", now.MinRAM != before.MinRAM, now.MinRAM)
	field("tags", !slices.Equal(slices.Sorted(slices.Values(before.Tags)), slices.Sorted(slices.Values(now.Tags))), append([]string{}, now.Tags...))
	had, has := before.CarriedProperties(), now.CarriedProperties()
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if old, ok := had[name]; !ok || old != has[name] {
			all = append(all, image.Change{Field: name, Property: true, Value: has[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if _, ok := has[name]; !ok {
			all = append(all, image.Change{Field: name, Property: true})
		}
	}
	return all
}

// names are the fields and properties of changes.
func names(changes []image.Change) []string {
	all := make([]string, len(changes))
	for i, c := range changes {
		all[i] = c.Field
	}
	return all
}
