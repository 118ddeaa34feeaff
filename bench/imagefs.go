package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// hasFlag reports whether this imagefs knows a flag of mount.
func (l *lab) hasFlag(ctx context.Context, flag string) (bool, error) {
	help, err := l.command(ctx, l.options.imagefs, "mount", "--help").Output()
	if err != nil {
		return false, fmt.Errorf("imagefs mount --help: %w", err)
	}
	return strings.Contains(string(help), "--"+flag+" "), nil
}

// mountImagefs mounts a site with nothing cached. The mount's directories are
// below private, or a new one that ends with the mount where that is "".
func (l *lab) mountImagefs(ctx context.Context, s *site, private string, args ...string) (*mount, error) {
	return l.mountService(ctx, private, append([]string{"--endpoint", s.endpoint()}, args...)...)
}

func (l *lab) mountService(ctx context.Context, private string, args ...string) (m *mount, err error) {
	own := ""
	if private == "" {
		if private, err = l.temp("imagefs"); err != nil {
			return nil, err
		}
		own = private
	}
	args = append([]string{"mount", "--foreground", "--staging-dir", filepath.Join(private, "staging")}, args...)
	cached, err := l.hasFlag(ctx, "cache-dir")
	if err != nil {
		return nil, err
	}
	if cached {
		args = append(args, "--cache-dir", filepath.Join(private, "cache"))
	}
	m, err = l.mountProgram(ctx, l.options.imagefs, append(args, "MOUNTPOINT")...)
	if m != nil {
		m.private = own
	}
	return m, err
}
