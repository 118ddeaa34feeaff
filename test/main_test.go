package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/test/daemon"
)

// binary is the imagefs under test, built with the race detector.
var binary string

// A service is what the tests mount.
type service struct {
	name string
	args []string // of imagefs mount
	api  *client.Client
}

// services are the embedded server and the real Glance, in that order.
var services []service

// cloudsFile is the clouds.yaml of the real Keystone and Glance.
var cloudsFile string

// atOnce is how many of the tests run at a time that say that they may: they wait for
// pauses and time-outs, on two processors as on many.
const atOnce = 6

func TestMain(m *testing.M) {
	daemon.Main(&binary, func(dir string) (int, error) { return runAll(m, dir) })
}

func runAll(m *testing.M, dir string) (code int, err error) {
	if err := daemon.Default("test.parallel", strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0)))); err != nil {
		return 1, err
	}
	cloudsFile = os.Getenv("IMAGEFS_TEST_CLOUDS")
	if cloudsFile == "" {
		return 1, errors.New("IMAGEFS_TEST_CLOUDS is not set: run `make test`, which brings up a Keystone and a Glance")
	}
	for name, value := range map[string]string{
		"OS_CLIENT_CONFIG_FILE": cloudsFile,
		// What the binary keeps of its own goes here, not to the machine's places.
		"IMAGEFS_STAGING_DIR": filepath.Join(dir, "staging"),
	} {
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	embedded, stop, err := startEmbedded(dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	glance, err := dial(client.Options{Cloud: "demo"})
	if err != nil {
		return 1, err
	}
	defer glance.Close()
	defer embedded.api.Close()
	services = []service{embedded, {name: "glance", args: []string{"--cloud", "demo"}, api: glance}}
	return m.Run(), nil
}

func dial(o client.Options) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	o.Logger = slog.New(slog.DiscardHandler)
	return client.Dial(ctx, o)
}

// embedded runs an embedded server of its own for a test.
func embedded(t *testing.T, args ...string) service {
	t.Helper()
	s, stop, err := startEmbedded(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.api.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startEmbedded runs `imagefs serve` on a free port until stop.
func startEmbedded(dir string, args ...string) (service, func() error, error) {
	addr, err := freeAddress()
	if err != nil {
		return service{}, nil, err
	}
	data, err := os.MkdirTemp(dir, "served-")
	if err != nil {
		return service{}, nil, err
	}
	var out bytes.Buffer
	serve := exec.Command(binary, append([]string{"serve", "--dir", data, "--listen", addr}, args...)...)
	serve.Stdout, serve.Stderr = &out, &out
	if err := serve.Start(); err != nil {
		return service{}, nil, err
	}
	stop := func() error {
		if err := serve.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		if err := serve.Wait(); err != nil {
			return fmt.Errorf("imagefs serve: %w\n%s", err, out.String())
		}
		return nil
	}
	endpoint := "http://" + addr
	deadline := time.Now().Add(20 * time.Second)
	for {
		api, err := dial(client.Options{Endpoint: endpoint})
		if err == nil {
			return service{name: "embedded", args: []string{"--endpoint", endpoint}, api: api}, stop, nil
		}
		if time.Now().After(deadline) {
			return service{}, nil, errors.Join(err, stop())
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// onEach runs a test on every service.
func onEach(t *testing.T, test func(t *testing.T, s service)) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}
