package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// rclone is one version of it with its settings.
type rclone struct {
	name    string // of the contender
	program string
	args    []string
	cached  bool // with --vfs-cache-mode full, in a fresh directory
}

// Debian's rclone. The current one, where it was given, has its program in options.
const (
	oldRclone     = "rclone 1.60"
	currentRclone = "rclone current"
)

// sequentialRclones have the settings that were the fastest of those tried for
// reading from start to end.
func (l *lab) sequentialRclones() []rclone {
	old := []string{"--vfs-read-chunk-size", "64M", "--buffer-size", "64M"}
	current := []string{"--vfs-read-chunk-streams", strconv.Itoa(streams), "--vfs-read-chunk-size", "4M"}
	return l.present([]rclone{
		{name: oldRclone, program: "rclone", args: old},
		{name: oldRclone + ", disk cache", program: "rclone", args: old, cached: true},
		{name: currentRclone + ", 16 streams", program: l.options.rclone, args: current},
		{name: currentRclone + ", 16 streams, disk cache", program: l.options.rclone, args: current, cached: true},
	})
}

// randomRclones have those for small reads.
func (l *lab) randomRclones() []rclone {
	small := []string{"--vfs-read-chunk-size", "128k", "--vfs-read-chunk-size-limit", "128k", "--buffer-size", "0"}
	return l.present([]rclone{
		{name: oldRclone + ", as it comes", program: "rclone"},
		{name: oldRclone + ", small chunks", program: "rclone", args: small},
		{name: oldRclone + ", small chunks, disk cache", program: "rclone", args: small, cached: true},
		{name: currentRclone + ", small chunks", program: l.options.rclone, args: small},
		{name: currentRclone + ", small chunks, disk cache", program: l.options.rclone, args: small, cached: true},
	})
}

func (l *lab) present(all []rclone) []rclone {
	return slices.DeleteFunc(all, func(r rclone) bool { return r.program == "" })
}

func (r rclone) how() string {
	how := append([]string{"`rclone mount --read-only"}, r.args...)
	if r.cached {
		how = append(how, "--vfs-cache-mode full")
	}
	return strings.Join(how, " ") + "`"
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

// onRclone is a contender that does work on a fresh mount.
func (l *lab) onRclone(s *site, r rclone, work func(ctx context.Context, m *mount) (values, error)) contender {
	return contender{name: r.name, how: r.how(), measure: func(ctx context.Context) (values, error) {
		m, err := l.mountRclone(ctx, s, r)
		return with(m, err, func(m *mount) (values, error) { return work(ctx, m) })
	}}
}
