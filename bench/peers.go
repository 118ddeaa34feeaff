package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// streams is how many connections the peers get that can use several.
const streams = 16

// curl reads an image whole over one connection.
func (l *lab) curl(ctx context.Context, url string, size int64, args ...string) (values, error) {
	// curl's own clock: a process costs 10 ms to start.
	out, err := l.command(ctx, "curl", append([]string{"-sSf", "-o", "/dev/null", "-w", "%{size_download} %{time_total}", url}, args...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("curl %s: %w", url, err)
	}
	words := strings.Fields(string(out))
	if len(words) != 2 || words[0] != strconv.FormatInt(size, 10) {
		return nil, fmt.Errorf("curl %s: %s instead of %d bytes", url, out, size)
	}
	taken, err := strconv.ParseFloat(words[1], 64)
	return values{speed.key: float64(size) / taken / 1e6}, err
}

// ranged reads a file whole over connections of its own, each with an equal part of
// it, and throws the bytes away: as fast as a client can be.
func ranged(ctx context.Context, url string, size int64, connections int) (values, error) {
	errs := make([]error, connections)
	var group sync.WaitGroup
	begun := time.Now()
	for i := range connections {
		group.Go(func() {
			from, to := size*int64(i)/int64(connections), size*int64(i+1)/int64(connections)
			errs[i] = rangedPart(ctx, url, from, to)
		})
	}
	group.Wait()
	taken := time.Since(begun)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return values{speed.key: mbs(size, taken)}, nil
}

func rangedPart(ctx context.Context, url string, from, to int64) error {
	transport := &http.Transport{DialContext: (&net.Dialer{}).DialContext, ReadBufferSize: 64 << 10}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() // only read
	if response.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	// A buffer of our own: io.Discard reads 8 KiB at a time.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, make([]byte, readSize))
	if err == nil && n != to-from {
		err = fmt.Errorf("%s: %d of %d bytes", url, n, to-from)
	}
	return err
}

// rclone is one version of it with its settings.
type rclone struct {
	name    string // of the contender
	program string
	args    []string
	cached  bool // with --vfs-cache-mode full, in a fresh directory
}

// rclones are those that are here.
func (l *lab) rclones() []rclone {
	all := []rclone{
		{name: "rclone 1.60 mount", program: "rclone", args: []string{"--vfs-read-chunk-size", "64M", "--buffer-size", "64M"}},
		{name: "rclone 1.60 mount, disk cache", program: "rclone", args: []string{"--vfs-read-chunk-size", "64M", "--buffer-size", "64M"}, cached: true},
	}
	if l.options.rclone != "" {
		streams := []string{"--vfs-read-chunk-streams", strconv.Itoa(streams), "--vfs-read-chunk-size", "4M", "--buffer-size", "0"}
		all = append(all,
			rclone{name: "rclone current mount", program: l.options.rclone, args: streams},
			rclone{name: "rclone current mount, disk cache", program: l.options.rclone, args: streams, cached: true},
		)
	}
	return all
}

func (r rclone) how() string {
	how := append([]string{"rclone mount --read-only"}, r.args...)
	if r.cached {
		how = append(how, "--vfs-cache-mode full")
	}
	return strings.Join(how, " ")
}

// mountRclone mounts a site's static server with nothing cached.
func (l *lab) mountRclone(ctx context.Context, s *site, r rclone) (*mount, error) {
	private, err := l.temp("rclone")
	if err != nil {
		return nil, err
	}
	args := append([]string{"mount", ":http:", "MOUNTPOINT", "--http-url", "http://" + s.static + "/", "--read-only", "--config", "/dev/null", "--cache-dir", private}, r.args...)
	if r.cached {
		args = append(args, "--vfs-cache-mode", "full")
	}
	m, err := l.mountProgram(ctx, r.program, args...)
	if m != nil {
		m.private = private
	}
	return m, err
}
