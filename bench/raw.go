package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// streams is how many connections those get that can use several.
const streams = 16

// The contenders that show what a link carries.
const (
	oneConnection = "1 connection"
	sixteen       = "16 connections"
)

// ranged reads an image whole over connections of its own, each with an equal part
// of it, and throws the bytes away: as fast as a client can be.
func (l *lab) ranged(s *site, p published, connections int) contender {
	name := fmt.Sprintf("%d connections", connections)
	if connections == 1 {
		name = oneConnection
	}
	return contender{
		name: name,
		how:  fmt.Sprintf("%d ranged requests at once to `imagefs serve`, an equal part of the image each, thrown away by this program", connections),
		measure: func(ctx context.Context) (values, error) {
			errs := make([]error, connections)
			var group sync.WaitGroup
			begun := time.Now()
			for i := range connections {
				group.Go(func() {
					from, to := p.size*int64(i)/int64(connections), p.size*int64(i+1)/int64(connections)
					transport := newTransport()
					defer transport.CloseIdleConnections()
					errs[i] = readRange(ctx, transport, s.image(p), from, to)
				})
			}
			group.Wait()
			taken := time.Since(begun)
			for _, err := range errs {
				if err != nil {
					return nil, err
				}
			}
			return values{speed.key: mbs(p.size, taken)}, nil
		},
	}
}

// newTransport is without proxies, and has one connection when it is used by one.
func newTransport() *http.Transport {
	return &http.Transport{DialContext: (&net.Dialer{}).DialContext, ReadBufferSize: 64 << 10}
}

// readRange reads the bytes from from to before to.
func readRange(ctx context.Context, transport *http.Transport, url string, from, to int64) error {
	body, err := openRange(ctx, transport, url, "", from, to)
	if err != nil {
		return err
	}
	defer body.Close() // only read
	// A buffer of our own: io.Discard reads 8 KiB at a time.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, readSize))
	if err == nil && n != to-from {
		err = fmt.Errorf("%s: %d of %d bytes", url, n, to-from)
	}
	return err
}

// openRange asks for the bytes from from to before to.
func openRange(ctx context.Context, transport *http.Transport, url, token string, from, to int64) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	if token != "" {
		request.Header.Set("X-Auth-Token", token)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusPartialContent {
		return nil, errors.Join(fmt.Errorf("%s: %s", url, response.Status), response.Body.Close())
	}
	return response.Body, nil
}
