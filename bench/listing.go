package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	// crowd is how many images the listings of the embedded server have.
	crowd = 100_000
	// perPage is as many as the service gives at once, and as imagefs asks for.
	perPage = 1000
)

// The metrics of listings.
var (
	listed    = metric{"listed", "seconds", "%.3f"}
	firstName = metric{"first-name", "seconds to the first name", "%.3f"}
)

// keepListing is for mounts whose listing must not be refreshed while they are measured.
var keepListing = []string{"--list-ttl", "10m"}

// The contenders of listings.
const (
	allPages  = "gophercloud"
	firstList = imagefs
	nextList  = imagefs + ", again"
	longList  = imagefs + ", ls -lU"
	bareList  = "bare go-fuse, ls -lU"
)

func listFirst() row {
	return row{
		name: "list-first", title: "First listing of 100,000 images",
		about: `ls -U of a mount that has not listed anything yet; and a program that has gophercloud fetch the same pages by
AllPages, makes records of them by ExtractImages, and ends. The embedded server makes the pages meanwhile, on the same cores.`,
		metrics: []metric{listed, firstName},
		targets: []target{
			{text: "at most 1.2 times gophercloud", of: firstList, over: []string{allPages}, metric: listed, most: 1.2},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newCrowd(ctx)
			if err != nil {
				return nil, err
			}
			return []contender{l.lists(s, crowd), l.gophercloud(s, crowd)}, nil
		},
	}
}

func listAgain() row {
	return row{
		name: "list-again", title: "Listing 100,000 images again",
		about: `ls -U once more, before --list-ttl is over. No request is made. The second contender lists as many names that a
program has in memory.`,
		metrics: []metric{listed, firstName},
		targets: []target{
			{text: "less than 0.2 s", of: nextList, metric: listed, most: 0.2},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newCrowd(ctx)
			if err != nil {
				return nil, err
			}
			again := l.listsAgain(s, crowd, nextList, "-U")
			return []contender{again, l.bareLists(crowd, "bare go-fuse", "-U")}, nil
		},
	}
}

func listLong() row {
	return row{
		name: "list-long", title: "Long listing of 100,000 images",
		about: `ls -lU, which asks for the attributes of each entry, after one ls -U and before --list-ttl is over: what imagefs
and the kernel do for it, without the service. A bare go-fuse directory has as many files, whose attributes are in an array.`,
		metrics: []metric{listed},
		targets: []target{
			{text: "at most 1.3 times a bare go-fuse directory", of: longList, over: []string{bareList}, metric: listed, most: 1.3},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newCrowd(ctx)
			if err != nil {
				return nil, err
			}
			return []contender{l.listsAgain(s, crowd, longList, "-lU"), l.bareLists(crowd, bareList, "-lU")}, nil
		},
	}
}

func listGlance() row {
	return row{
		name: "list-glance", title: "Listing 3,000 images of a real Glance",
		about:   `The same on Debian's Glance, Keystone and PostgreSQL, whose tables were filled with 3,000 images of three properties each.`,
		metrics: []metric{listed, firstName},
		targets: []target{
			{text: "at most 1.2 times gophercloud", of: firstList, over: []string{allPages}, metric: listed, most: 1.2},
			{text: "again: less than 0.2 s", of: nextList, metric: listed, most: 0.2},
			{text: "long: at most 1.3 times a bare go-fuse directory", of: longList, over: []string{bareList}, metric: listed, most: 1.3},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newGlance(ctx)
			if err != nil {
				return nil, err
			}
			if err := l.fill(ctx, s, glanceCrowd); err != nil {
				return nil, err
			}
			return []contender{
				l.lists(s, glanceCrowd), l.gophercloud(s, glanceCrowd), l.listsAgain(s, glanceCrowd, nextList, "-U"),
				l.listsAgain(s, glanceCrowd, longList, "-lU"), l.bareLists(glanceCrowd, bareList, "-lU"),
			}, nil
		},
	}
}

// lists is the first ls of a fresh mount.
func (l *lab) lists(s *site, count int) contender {
	c := l.onImagefs(s, func(ctx context.Context, m *mount) (values, error) { return l.ls(ctx, m, count, "-U") })
	c.how += ", and one `ls -U`"
	return c
}

// listsAgain is ls after another one.
func (l *lab) listsAgain(s *site, count int, name, flags string) contender {
	c := l.onImagefs(s, func(ctx context.Context, m *mount) (values, error) { return l.lsTwice(ctx, m, count, flags) }, keepListing...)
	c.name, c.how = name, "`imagefs mount --list-ttl 10m`, `ls -U`, and then the `ls "+flags+"` that is measured"
	return c
}

func (l *lab) lsTwice(ctx context.Context, m *mount, count int, flags string) (values, error) {
	if _, err := l.ls(ctx, m, count, "-U"); err != nil {
		return nil, err
	}
	return l.ls(ctx, m, count, flags)
}

// ls lists a mount, which must have so many entries.
func (l *lab) ls(ctx context.Context, m *mount, count int, flags string) (values, error) {
	cmd := l.command(ctx, "ls", flags, m.dir)
	var out lines
	cmd.Stdout = &out
	out.begun = time.Now()
	err := cmd.Run()
	taken := time.Since(out.begun)
	if flags != "-U" {
		out.count-- // "total"
	}
	if err == nil && out.count != count {
		err = fmt.Errorf("%d entries are listed, not %d", out.count, count)
	}
	if err != nil {
		return nil, fmt.Errorf("ls %s: %w", flags, err)
	}
	v := values{listed.key: taken.Seconds()}
	if flags == "-U" { // else ls prints nothing until it has read all
		v[firstName.key] = out.first.Seconds()
	}
	return v, nil
}

// lines counts them, and says when the first came.
type lines struct {
	begun time.Time
	first time.Duration
	count int
}

func (c *lines) Write(p []byte) (int, error) {
	if c.count == 0 {
		c.first = time.Since(c.begun)
	}
	c.count += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// gophercloud is the contender that a listing is to be compared with.
func (l *lab) gophercloud(s *site, count int) contender {
	return contender{
		name: allPages, how: "`images.List(client, images.ListOpts{Limit: 1000}).AllPages` and `images.ExtractImages` of gophercloud v2, in a process of its own",
		measure: func(ctx context.Context) (values, error) {
			taken, err := l.runSelf(ctx, gophercloudCommand, s.endpoint(), s.token, strconv.Itoa(count))
			return values{listed.key: taken.Seconds()}, err
		},
	}
}
