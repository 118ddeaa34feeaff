package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/fault"
)

// A service is the Image service of a soak.
type service interface {
	// address is where the service itself listens.
	address() string
	// behind has the daemon reach the service by the proxy at the URL, and says with which
	// arguments of imagefs mount it does.
	behind(proxy string) ([]string, error)
	// events are what can happen to it.
	events() []event
	// faults are those that its requests meet, and stall how long they may make no progress.
	faults() []fault.Fault
	stall() string
	// close ends it.
	close() error
}

// An event goes wrong, and returns when it is over.
type event struct {
	what string
	do   func(*soak) error
}

// embedded is `imagefs serve`, which keeps its images in a directory.
type embedded struct {
	binary, dir, addr string
	cmd               *exec.Cmd
}

func newEmbedded(binary, dir string) (*embedded, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &embedded{binary: binary, dir: filepath.Join(dir, "served"), addr: l.Addr().String()}
	return e, errors.Join(l.Close(), e.start())
}

func (e *embedded) address() string { return "http://" + e.addr }

func (e *embedded) behind(proxy string) ([]string, error) { return []string{"--endpoint", proxy}, nil }

// start starts the server and waits until it listens.
func (e *embedded) start() error {
	log, err := os.OpenFile(e.dir+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has it, too
	e.cmd = exec.Command(e.binary, "serve", "--dir", e.dir, "--listen", e.addr)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		return err
	}
	return until("the server listens", func() (bool, error) {
		conn, err := net.Dial("tcp", e.addr)
		if err == nil {
			err = conn.Close()
		}
		return err == nil, nil
	})
}

// kill ends the server at once.
func (e *embedded) kill() error {
	if err := e.cmd.Process.Kill(); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := e.cmd.Wait(); !errors.As(err, &exit) {
		return fmt.Errorf("the server ended by itself: %w", err)
	}
	return nil
}

func (e *embedded) close() error {
	if e.cmd == nil || e.cmd.ProcessState != nil {
		return nil
	}
	return e.kill()
}

// faults have stalls among them, which cost a worker the stall time-out, or five times that.
func (e *embedded) faults() []fault.Fault {
	return append([]fault.Fault{fault.BlackHole, fault.StallInBody}, faults...)
}

func (e *embedded) stall() string { return "6s" }

// killServer is what happens to the embedded server.
const killServer = "kill -9 of the server"

func (e *embedded) events() []event {
	return []event{{killServer, func(s *soak) error {
		if err := e.kill(); err != nil {
			return err
		}
		s.sleep(s.upTo(6 * time.Second))
		return e.start()
	}}}
}

// until waits for what happens by itself.
func until(what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(settleBound); ; time.Sleep(20 * time.Millisecond) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for this: %s", what)
		}
	}
}

// dial makes a client that looks at the service.
func dial(o client.Options) (*client.Client, error) {
	o.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return client.Dial(ctx, o)
}

// clientOf says by which options a client reaches what a mount with such arguments does.
func clientOf(args []string) client.Options {
	if args[0] == "--cloud" {
		return client.Options{Cloud: args[1]}
	}
	return client.Options{Endpoint: args[1]}
}

// upload makes an image of the content of a seed.
func upload(ctx context.Context, api *client.Client, name string, seed uint64, size int) error {
	img, err := api.Create(ctx, image.New{Name: name, DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil {
		return err
	}
	return api.Upload(ctx, img.ID, int64(size), func() io.Reader { return &contentReader{seed: seed, size: int64(size)} })
}

// contentReader reads the content of a seed.
type contentReader struct {
	seed      uint64
	off, size int64
}

func (r *contentReader) Read(p []byte) (int, error) {
	if r.off == r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.off)]
	fill(p, r.seed, r.off)
	r.off += int64(len(p))
	return len(p), nil
}

// everything lists all images of the service, also the hidden ones. A Glance that was killed
// in a deletion lists what it was deleting for ever, as deleted: that is none.
func everything(ctx context.Context, api *client.Client) ([]image.Image, error) {
	var all []image.Image
	for _, hidden := range []bool{false, true} {
		_, err := api.List(ctx, client.Filter{Hidden: hidden}, func(page []image.Image) error {
			all = append(all, page...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(img image.Image) bool { return img.Status == image.StatusDeleted }), nil
}

// repository is the directory of this repository.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
