package main

import (
	"context"
	"fmt"
	"time"
)

const (
	aloneReads = 100
	aloneLimit = 10 * time.Second
	manyLimit  = 4 * time.Second
	manyReads  = 1 << 20
	many       = 32
)

// randomOn measures small reads of an image through a mount behind a link.
func randomOn(ctx context.Context, s *site, m *mount, p published, readers, most int, limit time.Duration) (values, error) {
	before := s.carried()
	each, all, err := random(ctx, m.path(p.name), p.size, readers, most, limit)
	if err == nil && len(each) == 0 {
		err = fmt.Errorf("no read of %s ended within %v", p.name, limit)
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
		perRead.key: float64(s.carried().Sub(before).Bytes) / reads / 1024,
	}, nil
}

func randomRow(r row, readers, most int, limit time.Duration) row {
	r.prepare = func(_ context.Context, l *lab) ([]contender, error) {
		contenders := []contender{{name: "imagefs", how: "imagefs mount --endpoint URL", measure: func(ctx context.Context) (values, error) {
			m, err := l.mountImagefs(ctx, l.shaped, "")
			return with(m, err, func(m *mount) (values, error) { return randomOn(ctx, l.shaped, m, l.large, readers, most, limit) })
		}}}
		for _, c := range l.rclones() {
			contenders = append(contenders, contender{name: c.name, how: c.how(), measure: func(ctx context.Context) (values, error) {
				m, err := l.mountRclone(ctx, l.shaped, c)
				return with(m, err, func(m *mount) (values, error) { return randomOn(ctx, l.shaped, m, l.large, readers, most, limit) })
			}})
		}
		return contenders, nil
	}
	return r
}

func randomAlone() row {
	return randomRow(row{
		name: "random-1", title: "4 KiB at random, cold, one reader, behind the link",
		metrics: []metric{latency, rate, perRead},
		targets: []target{
			{text: "median at most 1.5 round trips", of: "imagefs", metric: latency, most: 1.5},
		},
	}, 1, aloneReads, aloneLimit)
}

func randomMany() row {
	return randomRow(row{
		name: "random-32", title: "4 KiB at random, cold, 32 readers, behind the link",
		metrics: []metric{rate, perRead, latency},
		targets: []target{
			{text: "8 times rclone mount", of: "imagefs", over: []string{"rclone"}, metric: rate, least: 8},
			{text: "at most 256 KiB for each read", of: "imagefs", metric: perRead, most: 256},
		},
	}, many, manyReads, manyLimit)
}

func info() row {
	return row{
		name: "info", title: "qemu-img info of a qcow2 of 10 GiB behind the link",
		metrics: []metric{fetched, roundTrips, requests, seconds},
		targets: []target{
			{text: "at most 1 MiB", of: "imagefs", metric: fetched, most: 1024},
			{text: "at most 6 round trips", of: "imagefs", metric: roundTrips, most: 6},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			p, err := l.publishFull(ctx)
			if err != nil {
				return nil, err
			}
			contenders := []contender{{name: "imagefs", how: "qemu-img info on a fresh imagefs mount", measure: func(ctx context.Context) (values, error) {
				m, err := l.mountImagefs(ctx, l.shaped, "")
				return with(m, err, func(m *mount) (values, error) { return l.info(ctx, m.path(p.name)) })
			}}}
			for _, c := range l.rclones() {
				contenders = append(contenders, contender{name: c.name, how: "qemu-img info on " + c.how(), measure: func(ctx context.Context) (values, error) {
					m, err := l.mountRclone(ctx, l.shaped, c)
					return with(m, err, func(m *mount) (values, error) { return l.info(ctx, m.path(p.name)) })
				}})
			}
			return contenders, nil
		},
	}
}

// info runs qemu-img info, and says what the shaped links carried for it.
func (l *lab) info(ctx context.Context, path string) (values, error) {
	before := l.shaped.carried()
	taken, err := l.run(ctx, "qemu-img", "info", path)
	after := l.shaped.carried().Sub(before)
	return values{
		fetched.key: float64(after.Bytes) / 1024, roundTrips.key: float64(after.RoundTrips),
		requests.key: float64(after.Requests), seconds.key: taken.Seconds(),
	}, err
}
