package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// mount is a mounted directory and the program that serves it.
type mount struct {
	dir     string
	program *child
	private string // directory of its own files, removed at its end; "" is none
}

func (m *mount) path(name string) string { return filepath.Join(m.dir, name) }

// mountProgram starts a program that serves a new directory, which takes the place
// of MOUNTPOINT in its arguments, and waits until the mount answers. When ctx ends
// the program is killed, so that nobody waits in a read.
func (l *lab) mountProgram(ctx context.Context, name string, args ...string) (m *mount, err error) {
	dir, err := l.temp("mount")
	if err != nil {
		return nil, err
	}
	outside := device(dir)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "MOUNTPOINT", dir)
	}
	program, err := l.start(ctx, name, args...)
	if err != nil {
		return nil, err
	}
	m = &mount{dir: dir, program: program}
	if err := program.wait(ctx, func() bool { return device(dir) != outside }); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// device is 0 where a mount does not answer.
func device(dir string) uint64 {
	var s syscall.Stat_t
	if syscall.Stat(dir, &s) != nil {
		return 0
	}
	return s.Dev
}

// mounted asks the table, not the mount, which may hang.
func mounted(dir string) bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return err != nil || strings.Contains(string(table), " "+dir+" ")
}

// close unmounts and removes what was the mount's own.
func (m *mount) close() error {
	err := m.program.stop()
	if mounted(m.dir) { // the program was killed
		if out, failed := exec.Command("fusermount3", "-uz", m.dir).CombinedOutput(); failed != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w: %s", m.dir, failed, out))
		}
	}
	if mounted(m.dir) {
		return errors.Join(err, fmt.Errorf("%s is still mounted", m.dir))
	}
	err = errors.Join(err, os.Remove(m.dir))
	if m.private != "" {
		err = errors.Join(err, os.RemoveAll(m.private))
	}
	return err
}

// with does work on a fresh mount.
func with(m *mount, err error, work func(m *mount) (values, error)) (values, error) {
	if err != nil {
		return nil, err
	}
	v, err := work(m)
	return v, errors.Join(err, m.close())
}
