package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	watchedFor   = 3 * time.Second // each measurement, so that each has equally many looks
	betweenLooks = time.Second     // of the page; Prometheus looks every 15 s where nobody says otherwise
	watchedTurns = 40              // what is looked for is less than one turn's noise
)

// looks are what Prometheus and the page ask of a mount.
var looks = []string{"/metrics", "/api/status", "/api/blocks"}

func watched() row {
	const name = imagefs + ", watched"
	return row{
		name: "watched", title: "Metrics and the page, read from memory",
		about: `An image that lies whole in the daemon's memory is read again and again for 3 seconds, 1 MiB at a time; what the
kernel has of it is dropped before each time, so that all comes from the daemon. Without --metrics nothing is counted of the kernel's
requests; with it /metrics is scraped each second, and the page asks for what it shows. What a browser takes to draw it is not in it,
what asks and takes the answers is.`,
		metrics: []metric{speed, work}, turns: watchedTurns,
		targets: []target{{text: "0.98 of without --metrics", of: name, over: []string{imagefs}, metric: speed, least: 0.98}},
		prepare: func(_ context.Context, l *lab) ([]contender, error) {
			p := l.small
			args := []string{"--cache-size", "0", "--memory", strconv.FormatInt(2*p.size, 10)}
			unseen := l.onImagefs(l.plain, func(ctx context.Context, m *mount) (values, error) { return readAgain(ctx, m, p) }, args...)
			seen := l.onImagefs(l.plain, func(ctx context.Context, m *mount) (v values, err error) {
				url, err := l.metricsURL(ctx, m)
				if err != nil {
					return nil, err
				}
				return readAgain(ctx, m, p, func(ctx context.Context) error { return lookAt(ctx, url) })
			}, append(args, "--metrics", "127.0.0.1:0")...)
			unseen.name, seen.name = imagefs, name
			return []contender{unseen, seen}, nil
		},
	}
}

// readAgain reads an image into memory, and then again for a while, beside others.
func readAgain(ctx context.Context, m *mount, p published, others ...func(context.Context) error) (v values, err error) {
	f, err := os.Open(m.path(p.name))
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	if _, err := readPart(ctx, f, 0, p.size); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	failed := make([]error, len(others))
	for i, other := range others {
		group.Go(func() { failed[i] = other(ctx) })
	}
	defer func() {
		cancel()
		group.Wait()
		err = errors.Join(append(failed, err)...)
	}()
	pid := m.program.cmd.Process.Pid
	before, err := processorTime(pid)
	if err != nil {
		return nil, err
	}
	var total int64
	begun := time.Now()
	for time.Since(begun) < watchedFor {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return nil, err
		}
		n, err := readPart(ctx, f, 0, p.size)
		if err != nil {
			return nil, err
		}
		total += n
	}
	taken := time.Since(begun)
	after, err := processorTime(pid)
	return values{speed.key: mbs(total, taken), work.key: (after - before).Seconds() / (float64(total) / (1 << 30))}, err
}

// processorTime is what a process has had of processors so far, to 10 ms.
func processorTime(pid int) (time.Duration, error) {
	const perTick = 10 * time.Millisecond // Linux tells it so on every architecture that Go has
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name, in parentheses, which may have spaces; the 14th and 15th are
	// the time in the program and in the kernel.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has no times: %s", pid, stat)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * perTick, nil
}

// lookAt asks each second until the end of ctx.
func lookAt(ctx context.Context, url string) error {
	transport := newTransport()
	defer transport.CloseIdleConnections()
	for {
		next := time.After(betweenLooks)
		for _, path := range looks {
			if err := look(ctx, transport, url+path); err != nil && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil
		}
	}
}

func look(ctx context.Context, transport *http.Transport, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() // only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// metricsURL is the address that a mount has taken for its metrics.
func (l *lab) metricsURL(ctx context.Context, m *mount) (string, error) {
	out, err := l.command(ctx, l.options.imagefs, "status", "--json", m.dir).Output()
	if err != nil {
		return "", fmt.Errorf("imagefs status: %w", err)
	}
	var status struct {
		URL string `json:"metrics_url"`
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return "", fmt.Errorf("imagefs status: %w", err)
	}
	url, found := strings.CutSuffix(status.URL, "/metrics")
	if !found {
		return "", fmt.Errorf("imagefs status: %q is no address of metrics", status.URL)
	}
	return url, nil
}
