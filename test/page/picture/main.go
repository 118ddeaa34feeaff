// Command picture makes the picture of a mount's page that the README shows: a machine boots
// from an image of the mount, which comes by a slow line, while a file is uploaded.
//
//	go run ./test/page/picture docs/page.png
//
// It runs as root and needs what scripts/install test installs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/imagefs/imagefs/bench/link"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/test/daemon"
)

const (
	patience = 5 * time.Minute // for the whole: the machine is emulated
	width    = 1000            // of the picture, in pixels: a README shows it as it is
	tools    = 64 << 20        // bytes of an image of which a part is read
	nightly  = 2 << 30         // bytes of what is uploaded: that takes half a minute
)

// line is between the mount and the service, so that one can see an image fill.
var line = link.Shape{RTT: 20 * time.Millisecond, Total: 6 << 20}

// worthIt, in the page, says when to take it: the machine has read a while and goes on, and the upload is half done.
const worthIt = `document.querySelectorAll('#images > li').length > 1 && document.querySelector('#transfers progress')?.position > 0.4
  && document.getElementById('images').innerText.includes('in flight')`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: picture FILE")
		os.Exit(2)
	}
	if err := command(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func command(file string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "imagefs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := daemon.BuildWith(dir)
	if err != nil {
		return err
	}
	machine, err := makeMachine(ctx, dir)
	if err != nil {
		return err
	}
	service, err := daemon.NewService(ctx, filepath.Join(dir, "served"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	for name, data := range map[string][]byte{"debian.qcow2": machine.disk, "tools.iso": noise(tools)} {
		n := image.New{Name: name, DiskFormat: filepath.Ext(name)[1:], ContainerFormat: "bare"}
		if _, err := service.Upload(ctx, n, data); err != nil {
			return err
		}
	}
	endpoint, err := url.Parse(service.URL())
	if err != nil {
		return err
	}
	slow, err := link.Open(endpoint.Host, line)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, slow.Close()) }()
	mount, err := daemon.New(binary, dir, "--endpoint", "http://"+slow.Addr(), "--metrics", ":0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mount.Unmount()) }()
	page, err := pageOf(ctx, binary, mount.Mountpoint)
	if err != nil {
		return err
	}
	stop, err := machine.boot(ctx, filepath.Join(mount.Mountpoint, "debian.qcow2"))
	if err != nil {
		return err
	}
	defer stop()
	if err := take(ctx, page, mount.Mountpoint, file); err != nil {
		return fmt.Errorf("%w; the end of the daemon's log:\n%s", err, mount.Tail())
	}
	return nil
}

// pageOf asks the mount where its page is.
func pageOf(ctx context.Context, binary, mountpoint string) (string, error) {
	out, err := exec.CommandContext(ctx, binary, "status", "--json", mountpoint).Output()
	if err != nil {
		return "", err
	}
	var s metrics.Snapshot
	if err := json.Unmarshal(out, &s); err != nil {
		return "", err
	}
	page, err := url.Parse(s.Metrics)
	if err != nil {
		return "", err
	}
	return page.JoinPath("..").String(), nil
}

// take looks at the page while the machine boots, reads a part of another image, uploads a
// file, and keeps what is seen then.
func take(ctx context.Context, page, mountpoint, file string) error {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(options...))
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 800), chromedp.Navigate(page)); err != nil {
		return err
	}
	if _, err := os.ReadDir(mountpoint); err != nil { // who mounts looks around
		return err
	}
	if err := readPart(filepath.Join(mountpoint, "tools.iso")); err != nil {
		return err
	}
	uploaded := make(chan error, 1)
	go func() { uploaded <- os.WriteFile(filepath.Join(mountpoint, "nightly.raw"), noise(nightly), 0o644) }()
	err := chromedp.Do(ctx, chromedp.Poll[chromedp.Void](worthIt, chromedp.WithPollingTimeout(patience)))
	if err == nil {
		var picture []byte
		if picture, err = chromedp.Run(ctx, chromedp.FullScreenshot(100)); err == nil {
			err = os.WriteFile(file, picture, 0o644)
		}
	}
	return errors.Join(err, <-uploaded)
}

// readPart reads a beginning, and some of what lies behind.
func readPart(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	buffer := make([]byte, 4<<20)
	for _, off := range []int64{0, 4 << 20, 8 << 20, 40 << 20} {
		if _, err := f.ReadAt(buffer, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p) // never fails
	return p
}
