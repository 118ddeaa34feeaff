package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// imagefs is the name of the contender that everything is about.
const imagefs = "imagefs"

// version is what this imagefs calls itself.
func (l *lab) version(ctx context.Context) (string, error) {
	said, err := l.command(ctx, l.options.imagefs, "version").Output()
	if err != nil {
		return "", fmt.Errorf("imagefs version: %w", err)
	}
	line, _, _ := strings.Cut(string(said), "\n")
	return strings.TrimPrefix(line, "imagefs "), nil
}

// mountImagefs mounts a site. Its caches and its staging directory are below
// private; "" is a new directory, with nothing cached, that ends with the mount.
func (l *lab) mountImagefs(ctx context.Context, s *site, private string, args ...string) (m *mount, err error) {
	own := ""
	if private == "" {
		if private, err = l.temp(imagefs); err != nil {
			return nil, err
		}
		own = private
	}
	// imagefs takes a token from the environment alone, and no other program here is to have it.
	m, err = l.mountProgram(ctx, "env", append([]string{"OS_TOKEN=" + s.token, l.options.imagefs}, mountArgs(s, private, args...)...)...)
	if m != nil {
		m.private = own
	}
	return m, err
}

// mountArgs are the arguments of imagefs that mount a site.
func mountArgs(s *site, private string, args ...string) []string {
	all := []string{
		"mount", "--foreground", "--endpoint", s.endpoint(),
		"--cache-dir", filepath.Join(private, "cache"), "--staging-dir", filepath.Join(private, "staging"),
	}
	return append(append(all, args...), "MOUNTPOINT")
}

// onImagefs is a contender that does work on a fresh mount with empty caches.
func (l *lab) onImagefs(s *site, work func(ctx context.Context, m *mount) (values, error), args ...string) contender {
	return contender{
		name: strings.Join(append([]string{imagefs}, args...), " "),
		how:  fmt.Sprintf("`imagefs mount%s`, fresh caches on disk and in memory", strings.Join(append([]string{""}, args...), " ")),
		measure: func(ctx context.Context) (values, error) {
			m, err := l.mountImagefs(ctx, s, "", args...)
			return with(m, err, func(m *mount) (values, error) { return work(ctx, m) })
		},
	}
}

// verified waits until the mount has found all bytes of an image right.
func (l *lab) verified(ctx context.Context, m *mount) error {
	var status struct {
		Cache struct {
			Disk struct {
				Verified int `json:"verified_images"`
			} `json:"disk"`
		} `json:"cache"`
	}
	limit := time.Now().Add(10 * patience)
	for status.Cache.Disk.Verified == 0 {
		out, err := l.command(ctx, l.options.imagefs, "status", "--json", m.dir).Output()
		if err != nil {
			return fmt.Errorf("imagefs status: %w", err)
		}
		if err := json.Unmarshal(out, &status); err != nil {
			return fmt.Errorf("imagefs status: %w", err)
		}
		if time.Now().After(limit) {
			return errors.New("the image was read whole, and is not verified")
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
