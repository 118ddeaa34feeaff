package daemon

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main builds the binary, runs the tests of a package, and ends the process. run gets a
// directory that is removed at the end. Goroutines that are there then are a failure.
func Main(binary *string, run func(dir string) (code int, err error)) {
	code, err := runIn(binary, run)
	http.DefaultClient.CloseIdleConnections() // of tests, and of the proxies between
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "imagefs tests:", err)
		code = 1
	}
	os.Exit(code)
}

func runIn(binary *string, run func(dir string) (int, error)) (code int, err error) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "imagefs-tests-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if *binary, err = Build(dir); err != nil {
		return 1, err
	}
	return run(dir)
}

// Default gives a flag a value where the command line has none.
func Default(name, value string) error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return nil
	}
	return flag.Set(name, value)
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
