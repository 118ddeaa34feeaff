package main

import (
	"context"
)

const imagefsHow = "imagefs mount --endpoint URL, a fresh mount with empty caches, read(2) of 1 MiB"

// coldImagefs reads a cold image of a site through a fresh mount.
func (l *lab) coldImagefs(s *site, p published) contender {
	return contender{name: "imagefs", how: imagefsHow, measure: func(ctx context.Context) (values, error) {
		m, err := l.mountImagefs(ctx, s, "")
		return with(m, err, func(m *mount) (values, error) { return sequential(ctx, m.path(p.name), p.size) })
	}}
}

func (l *lab) coldRclone(s *site, p published, r rclone) contender {
	return contender{name: r.name, how: r.how(), measure: func(ctx context.Context) (values, error) {
		m, err := l.mountRclone(ctx, s, r)
		return with(m, err, func(m *mount) (values, error) { return sequential(ctx, m.path(p.name), p.size) })
	}}
}

func (l *lab) oneCurl(s *site, p published) contender {
	return contender{name: "curl", how: "curl -o /dev/null URL, from imagefs serve", measure: func(ctx context.Context) (values, error) {
		return l.curl(ctx, s.image(p), p.size)
	}}
}

func (l *lab) sixteen(s *site, p published) contender {
	return contender{name: "16 connections", how: "16 ranged requests at once, a sixteenth of the image each, thrown away; from imagefs serve", measure: func(ctx context.Context) (values, error) {
		return ranged(ctx, s.image(p), p.size, streams)
	}}
}

func coldShaped() row {
	return row{
		name: "cold-shaped", title: "cold sequential read behind the link",
		metrics: []metric{speed},
		targets: []target{
			{text: "0.98 of 16 raw ranged connections", of: "imagefs", over: []string{"16 connections"}, metric: speed, least: 0.98},
			{text: "more than every peer", of: "imagefs", over: []string{"curl", "rclone", "nbdkit", "qemu", "aria2"}, metric: speed, least: 1},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			contenders := []contender{l.coldImagefs(l.shaped, l.large), l.sixteen(l.shaped, l.large), l.oneCurl(l.shaped, l.small)}
			for _, r := range l.rclones() {
				p := l.small
				if r.program != "rclone" {
					p = l.large
				}
				contenders = append(contenders, l.coldRclone(l.shaped, p, r))
			}
			return contenders, nil
		},
	}
}

func coldLoopback() row {
	return row{
		name: "cold-loopback", title: "cold sequential read on plain loopback",
		metrics: []metric{speed},
		targets: []target{
			{text: "0.5 of one curl", of: "imagefs", over: []string{"curl"}, metric: speed, least: 0.5},
			{text: "twice the best rclone mount", of: "imagefs", over: []string{"rclone"}, metric: speed, least: 2},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			contenders := []contender{l.coldImagefs(l.plain, l.large), l.oneCurl(l.plain, l.large)}
			for _, r := range l.rclones() {
				contenders = append(contenders, l.coldRclone(l.plain, l.large, r))
			}
			contenders = append(contenders, l.localFile(l.large))
			return contenders, nil
		},
	}
}

// localFile is what reading costs at least.
func (l *lab) localFile(p published) contender {
	return contender{name: "local file", how: "read(2) of 1 MiB from a local file in the page cache", measure: func(ctx context.Context) (values, error) {
		return sequential(ctx, p.path, p.size)
	}}
}
