package main

import "context"

// reading is the work of most rows: a file of the mount from start to end.
func (l *lab) reading(p published) func(ctx context.Context, m *mount) (values, error) {
	return func(ctx context.Context, m *mount) (values, error) { return l.sequential(ctx, m.path(p.name), p.size) }
}

func coldShaped() row {
	return row{
		name: "cold-shaped", title: "Cold sequential read behind the link",
		about: `One image from start to end, by dd bs=1M where there is a mount. 16 connections are what the link
gives at most, by a program of this benchmark or by curl. Who is known to stay at one connection reads a quarter of the image.`,
		metrics: []metric{speed}, fills: 2,
		targets: []target{
			{text: "0.98 of 16 raw ranged connections", of: imagefs, over: []string{sixteen}, metric: speed, least: 0.98},
			{text: "more than every peer", of: imagefs, over: []string{"curl", "rclone", "nbdkit", "qemu", "aria2c"}, metric: speed, least: 1},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			s := l.shaped
			contenders := []contender{
				l.onImagefs(s, l.reading(l.large)), l.ranged(s, l.large, streams), l.curl(s, l.small), l.curls(s, l.large),
				l.aria2(s, l.large), l.nbdcopy(s, l.large, streams), l.qemuHTTP(s, l.small),
			}
			for _, r := range l.sequentialRclones() {
				p := l.small
				if r.program == l.options.rclone {
					p = l.large
				}
				contenders = append(contenders, l.onRclone(s, r, l.reading(p)))
			}
			return contenders, nil
		},
	}
}

func coldLoopback() row {
	return row{
		name: "cold-loopback", title: "Cold sequential read on plain loopback",
		about: `The same without the link: what the programs themselves cost. The local file is what the kernel's part of
any mount is to be compared with.`,
		metrics: []metric{speed}, fills: 2,
		targets: []target{
			{text: "0.5 of one `curl`", of: imagefs, over: []string{"curl"}, metric: speed, least: 0.5},
			{text: "twice the best `rclone mount`", of: imagefs, over: []string{"rclone"}, metric: speed, least: 2},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			s, p := l.plain, l.large
			contenders := []contender{l.onImagefs(s, l.reading(p)), l.onBareReader(s, p), l.onBareReaderAlone(s, p), l.curl(s, p), l.nbdcopy(s, p, 4), l.qemuHTTP(s, p)}
			for _, r := range l.sequentialRclones() {
				contenders = append(contenders, l.onRclone(s, r, l.reading(p)))
			}
			return append(contenders, l.localFile(p)), nil
		},
	}
}

// streamCounts are those that the default of --streams is chosen from.
var streamCounts = []string{"1", "4", "8", "16", "32"}

func streamsRow() row {
	return row{
		name: "streams", title: "How many streams behind the link",
		about:   `What the default of --streams rests on: the first row with other numbers, on a quarter of the image.`,
		metrics: []metric{speed},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			var contenders []contender
			for _, n := range streamCounts {
				contenders = append(contenders, l.onImagefs(l.shaped, l.reading(l.small), "--streams", n))
			}
			return contenders, nil
		},
	}
}

func withoutRanges() row {
	return row{
		name: "no-ranges", title: "Sequential read of a store without ranges behind the link",
		about: `imagefs serve --no-ranges answers every ranged request with 400, as Glance does on rbd, swift and s3. One
stream is all that such a store gives. A quarter of the image.`,
		metrics: []metric{speed},
		targets: []target{
			{text: "0.95 of one `curl`", of: imagefs, over: []string{"curl"}, metric: speed, least: 0.95},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			plain, err := l.newSite(ctx, "served-no-ranges", "--no-ranges")
			if err != nil {
				return nil, err
			}
			s, err := l.behind(plain, shape)
			if err != nil {
				return nil, err
			}
			p, err := l.publish(ctx, plain, "stream.raw", "raw", l.small.size, noise(3, l.small.size))
			return []contender{l.onImagefs(s, l.reading(p)), l.curl(s, p)}, err
		},
	}
}
