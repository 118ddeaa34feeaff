package main

import (
	"context"
	"fmt"
	"time"
)

const (
	aloneReads = 100
	many       = 32
	// randomLimit is how long one measurement of many small reads may take.
	randomLimit = 4 * time.Second
)

// small is the work of reading 4 KiB at random behind the link.
func (l *lab) randomReads(readers, most int) func(ctx context.Context, m *mount) (values, error) {
	return func(ctx context.Context, m *mount) (values, error) {
		p := l.large
		before := l.shaped.carried()
		each, all, err := random(ctx, m.path(p.name), p.size, readers, most, randomLimit)
		if err == nil && len(each) == 0 {
			err = fmt.Errorf("no read of %s ended within %v", p.name, randomLimit)
		}
		if err != nil {
			return nil, err
		}
		taken := make([]float64, len(each))
		for i, d := range each {
			taken[i] = d.Seconds() / shape.RTT.Seconds()
		}
		reads := float64(len(each))
		return values{
			latency.key: median(taken),
			rate.key:    reads / all.Seconds(),
			perRead.key: float64(l.shaped.carried().Sub(before).Bytes) / reads / 1024,
		}, nil
	}
}

// onMounts are imagefs and the rclones that are set for small reads.
func (l *lab) onMounts(work func(ctx context.Context, m *mount) (values, error)) []contender {
	contenders := []contender{l.onImagefs(l.shaped, work)}
	for _, r := range l.randomRclones() {
		contenders = append(contenders, l.onRclone(l.shaped, r, work))
	}
	return contenders
}

func randomAlone() row {
	return row{
		name: "random-1", title: "4 KiB at random, cold, one reader, behind the link",
		about: `Reads of 4 KiB, each in a piece of 256 KiB that nobody has read yet, in random order: 100 of them, or as
many as 4 seconds allow. The latency is the median. Where it is far below one round trip, a read before has brought what
is asked for, at the price of the last column but one.`,
		metrics: []metric{latency, rate, perRead},
		targets: []target{
			{text: "median at most 1.5 round trips", of: imagefs, metric: latency, most: 1.5},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			return l.onMounts(l.randomReads(1, aloneReads)), nil
		},
	}
}

func randomMany() row {
	return row{
		name: "random-32", title: "4 KiB at random, cold, 32 readers, behind the link",
		about:   `The same by 32 readers at once, for 4 seconds.`,
		metrics: []metric{rate, perRead, latency},
		targets: []target{
			// Eight times one that is set up for this is more than the link lets 32 readers have.
			{text: "8 times `rclone mount`, as it comes", of: imagefs, over: []string{oldRclone + ", as it comes"}, metric: rate, least: 8},
			{text: "at most 256 KiB for each read", of: imagefs, metric: perRead, most: 256},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			return l.onMounts(l.randomReads(many, 1<<30)), nil
		},
	}
}

func info() row {
	return row{
		name: "info", title: "qemu-img info of 10 GiB behind the link",
		about: `qemu-img info of a qcow2 whose file has 10 GiB. Looking the name up and opening it are counted. Requests
that leave together are one round trip.`,
		metrics: []metric{fetched, roundTrips, requests, seconds},
		targets: []target{
			{text: "at most 1 MiB", of: imagefs, metric: fetched, most: 1024},
			{text: "at most 6 round trips", of: imagefs, metric: roundTrips, most: 6},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			p, err := l.publishFull(ctx)
			if err != nil {
				return nil, err
			}
			contenders := l.onMounts(func(ctx context.Context, m *mount) (values, error) {
				return l.info(ctx, m.path(p.name))
			})
			overHTTP := contender{
				name: "qemu-img over http", how: "`qemu-img info` of the URL",
				measure: func(ctx context.Context) (values, error) {
					return l.info(ctx, `json:{"driver":"qcow2","file":`+qemuURL(l.shaped.file(p))+`}`)
				},
			}
			return append(contenders, overHTTP), nil
		},
	}
}

// info runs qemu-img info, and says what the shaped links carried for it.
func (l *lab) info(ctx context.Context, name string) (values, error) {
	before := l.shaped.carried()
	taken, err := l.run(ctx, "qemu-img", "info", name)
	after := l.shaped.carried().Sub(before)
	return values{
		fetched.key: float64(after.Bytes) / 1024, roundTrips.key: float64(after.RoundTrips),
		requests.key: float64(after.Requests), seconds.key: taken.Seconds(),
	}, err
}
