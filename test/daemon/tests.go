package daemon

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package with the binary that it builds, and ends the process.
func Main(m *testing.M, binary *string) {
	code, err := runAll(m, binary)
	if err != nil {
		fmt.Fprintln(os.Stderr, "imagefs tests:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M, binary *string) (code int, err error) {
	dir, err := os.MkdirTemp("", "imagefs-tests-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if *binary, err = Build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// Serve is NewService for a test, which closes it at its end.
func Serve(t *testing.T, dir string) *Service {
	t.Helper()
	s, err := NewService(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Run is New for a test, which ends the daemon and the mount at its end. Where it fails,
// the end of the log is shown.
func Run(t *testing.T, binary, dir string, args ...string) *Daemon {
	t.Helper()
	d, err := New(binary, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the daemon's log ends so:\n%s", d.Tail())
		}
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
	})
	return d
}
