package main

import (
	"context"
	"time"
)

// probes is how many small requests the latency of the link is the median of.
const probes = 20

func linkRow() row {
	return row{
		name: "link", title: "The link itself",
		about: `20 ms there and back, 50 MB/s for each connection, 400 MB/s together, made by a proxy in the measuring
program (bench/link). Opening a connection costs no round trip, and nothing is lost on the way. The first line reads 4 KiB
at a time over one connection that stays open.`,
		metrics: []metric{speed, latency},
		targets: []target{
			{text: "one round trip, to 2%", of: "4 KiB", metric: latency, least: 1, most: 1.02},
			{text: "50 MB/s, to 2%", of: oneConnection, metric: speed, least: 0.98 * shape.Each / 1e6, most: 1.02 * shape.Each / 1e6},
			{text: "400 MB/s, to 2%", of: sixteen, metric: speed, least: 0.98 * shape.Total / 1e6, most: 1.02 * shape.Total / 1e6},
		},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			return []contender{
				{name: "4 KiB", how: "ranged requests in turn, the median", measure: l.latency},
				l.ranged(l.shaped, l.small, 1), l.ranged(l.shaped, l.large, streams),
			}, nil
		},
	}
}

// latency is that of small requests on a connection that is open.
func (l *lab) latency(ctx context.Context) (values, error) {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	var taken []float64
	for i := range int64(probes + 1) {
		begun := time.Now()
		if err := readRange(ctx, transport, l.shaped.image(l.large), i*smallRead, (i+1)*smallRead); err != nil {
			return nil, err
		}
		if i > 0 { // the first opens the connection
			taken = append(taken, time.Since(begun).Seconds()/shape.RTT.Seconds())
		}
	}
	return values{latency.key: median(taken)}, nil
}
