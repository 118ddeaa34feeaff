package faults

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

// kindOfWorld is what a mount has to be like for an operation.
type kindOfWorld struct {
	fresh    bool          // nothing else may have been done with it
	noRanges bool          // its service serves whole images only
	listTTL  string        // "": so long that nothing is asked for twice
	quota    int64         // bytes; 0: none
	keystone bool          // it has credentials instead of a token
	images   int           // that are there beforehand
	seeded   int           // that are there, too, without any bytes
	imports  bool          // its service takes data by import alone
	takes    int           // looks at its record, an import there; 0: as long as it does
	store    string        // --store; "": none is named
	stall    time.Duration // --stall-timeout; 0: the flag's
	skew     time.Duration // by which Keystone's clock is ahead
}

// project is whose images all are: that of the embedded server.
const project = "imagefs"

// world is a service, a proxy before it, and a mount of that.
type world struct {
	kind     kindOfWorld
	dir      string
	server   *imageserver.Server
	servers  []*httptest.Server
	keystone *fault.Keystone // nil: there is none
	proxy    *fault.Proxy
	identity *fault.Proxy   // the way to the Keystone; nil: there is none
	api      *client.Client // of the service, past the proxy
	token    string
	mounted  time.Time
	daemon   *daemon.Daemon // nil before it is mounted

	names       int        // that were given out
	faultName   string     // of what is tried
	kindOfFault fault.Kind // of the requests that meet it
}

// pool has the mounts that nobody uses just now.
type pool struct {
	mu    sync.Mutex // guards the fields below
	free  map[kindOfWorld][]*world
	count int
}

var spare = &pool{free: map[kindOfWorld][]*world{}}

// take returns a mount that nobody else uses.
func (p *pool) take(ctx context.Context, kind kindOfWorld) (*world, error) {
	p.mu.Lock()
	if free := p.free[kind]; len(free) > 0 {
		w := free[len(free)-1]
		p.free[kind] = free[:len(free)-1]
		p.mu.Unlock()
		return w, nil
	}
	p.count++
	dir := filepath.Join(root, fmt.Sprint(p.count))
	p.mu.Unlock()
	w, err := newWorld(ctx, dir, kind)
	if err != nil {
		return nil, err
	}
	if err := w.mount(); err != nil {
		return nil, errors.Join(err, w.kill())
	}
	return w, nil
}

// give gives a mount back that works.
func (p *pool) give(w *world) error {
	if w.kind.fresh {
		return w.end()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free[w.kind] = append(p.free[w.kind], w)
	return nil
}

// end unmounts what is left.
func (p *pool) end() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, free := range p.free {
		for _, w := range free {
			err = errors.Join(err, w.end())
		}
	}
	return err
}

// newWorld makes all but the mount.
func newWorld(ctx context.Context, dir string, kind kindOfWorld) (w *world, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	w = &world{kind: kind, dir: dir, token: secret}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.kill())
		}
	}()
	options := imageserver.Options{Dir: filepath.Join(dir, "served"), NoSync: true, NoRanges: kind.noRanges, Project: project, Quota: kind.quota}
	if !kind.keystone {
		options.Token = w.token
	}
	if err := os.MkdirAll(options.Dir, 0o755); err != nil {
		return w, err
	}
	if kind.seeded > 0 {
		if err := imageserver.Seed(options.Dir, kind.seeded); err != nil {
			return w, err
		}
	}
	if w.server, err = imageserver.New(options); err != nil {
		return w, err
	}
	behind := w.serve(w.server)
	if w.api, err = client.Dial(ctx, client.Options{Endpoint: behind, Token: w.token}); err != nil {
		return w, err
	}
	if kind.keystone {
		w.keystone = fault.NewKeystone(w.server, project)
		behind = w.serve(w.keystone)
		if w.identity, err = fault.New(behind); err != nil {
			return w, err
		}
	}
	if kind.imports {
		behind = w.serve(&importer{Handler: w.server, takes: kind.takes, looks: map[string]int{}})
	}
	if w.proxy, err = fault.New(behind); err != nil {
		return w, err
	}
	if kind.keystone {
		w.keystone.Skew(kind.skew)
		w.keystone.Catalog(w.proxy.URL())
		if err := clouds.add(filepath.Base(dir), w.identity.URL()+fault.IdentityPath); err != nil {
			return w, err
		}
	}
	for i := range kind.images {
		if _, err := w.upload(ctx, image.New{Name: fmt.Sprintf("there-%d.img", i)}, nil); err != nil {
			return w, err
		}
	}
	return w, nil
}

// serve returns the URL of a handler.
func (w *world) serve(h http.Handler) string {
	s := httptest.NewServer(h)
	w.servers = append(w.servers, s)
	return s.URL
}

// mount begins the daemon.
func (w *world) mount() error {
	args := w.service()
	ttl := w.kind.listTTL
	if ttl == "" {
		ttl = "1h"
	}
	args = append(args, "--stall-timeout", cmp.Or(w.kind.stall, *stall).String(), "--list-ttl", ttl, "--memory", "16MiB")
	if w.kind.store != "" {
		args = append(args, "--store", w.kind.store)
	}
	d, err := daemon.New(binary, w.dir, args...)
	w.daemon, w.mounted = d, time.Now()
	return err
}

// service are the arguments that name the service.
func (w *world) service() []string {
	if w.keystone != nil {
		return []string{"--cloud", filepath.Base(w.dir)}
	}
	return []string{"--endpoint", w.proxy.URL()} // and the token in $OS_TOKEN
}

// way is the proxy that requests of a kind go through.
func (w *world) way(k fault.Kind) *fault.Proxy {
	if k == fault.Token {
		return w.identity
	}
	return w.proxy
}

// name returns one that nobody has had.
func (w *world) name(what string) string {
	w.names++
	return fmt.Sprintf("%s-%d.img", what, w.names)
}

func (w *world) path(name string) string { return filepath.Join(w.daemon.Mountpoint, name) }

// noise is data that is unlike any other's.
func noise(size int) []byte {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(size), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())})
	_, _ = random.Read(data) // it never fails
	return data
}

// upload makes an image at the service.
func (w *world) upload(ctx context.Context, n image.New, data []byte) (image.Image, error) {
	n.DiskFormat, n.ContainerFormat = "raw", "bare"
	img, err := w.api.Create(ctx, n)
	if err != nil || len(data) == 0 {
		return img, err
	}
	if err := w.api.Upload(ctx, img.ID, int64(len(data)), func() io.Reader { return bytes.NewReader(data) }); err != nil {
		return img, err
	}
	return w.api.Get(ctx, img.ID)
}

// all are the images of the service, hidden ones too.
func (w *world) all(ctx context.Context) (all []image.Image, err error) {
	for _, hidden := range []bool{false, true} {
		_, err := w.api.List(ctx, client.Filter{Hidden: hidden}, func(page []image.Image) error {
			all = append(all, page...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// holds checks that the service has one image of the name, visible, with these bytes, and
// none that a commit has left.
func (w *world) holds(ctx context.Context, name string, data []byte) error {
	all, err := w.all(ctx)
	if err != nil {
		return err
	}
	found := 0
	for _, img := range all {
		if img.Hidden || img.Properties[image.PropertyDraft] != "" {
			return fmt.Errorf("the service has half an image: %+v", img)
		}
		if img.Name != name {
			continue
		}
		found++
		body, err := w.api.OpenWhole(ctx, img)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
		if !bytes.Equal(got, data) {
			return fmt.Errorf("the image %s has other bytes", name)
		}
	}
	if found != 1 {
		return fmt.Errorf("the service has %d images called %s", found, name)
	}
	return nil
}

// recovered waits until the mount knows that the service is well: what it has not asked
// about is asked for and not there.
func (w *world) recovered() error {
	if w.kindOfFault == fault.Versions || w.kindOfFault == fault.Probe || w.kindOfFault == fault.Stores {
		return nil // there may be no mount
	}
	return w.daemon.Until("the mount to ask the service again", func() (bool, error) {
		_, err := os.Lstat(w.path(w.name("absent")))
		return errors.Is(err, os.ErrNotExist), nil
	})
}

// logged is what the daemon has logged from an offset on.
func (w *world) logged(from int) (string, error) {
	text, err := os.ReadFile(w.daemon.Log)
	if err != nil {
		return "", err
	}
	return string(text[min(from, len(text)):]), nil
}

// tokens are the secrets that must not show.
func (w *world) tokens() []string {
	if w.keystone == nil {
		return []string{w.token}
	}
	return append(w.keystone.Issued(), password)
}

// discreet checks that no token has gone where none is to be.
func (w *world) discreet() error {
	log, err := w.logged(0)
	if err != nil {
		return err
	}
	for _, token := range w.tokens() {
		if at := strings.Index(log, token); at >= 0 {
			return fmt.Errorf("the log has a token: %s", log[max(0, at-200):at])
		}
	}
	if n := w.proxy.Leaked(); n > 0 {
		return fmt.Errorf("%d requests have taken the token to another host", n)
	}
	return nil
}

// end unmounts, and ends the service.
func (w *world) end() error {
	err := w.proxy.Set()
	if w.identity != nil {
		err = errors.Join(err, w.identity.Set())
	}
	if w.daemon != nil {
		err = errors.Join(err, w.discreet(), w.unmount())
	}
	return errors.Join(err, w.kill())
}

// unmount waits for others that look at every mount of the machine.
func (w *world) unmount() error {
	var last error
	err := w.daemon.Until("the mount not to be in use", func() (bool, error) {
		if last = w.daemon.Unmount(); answerOf(last) == "exit 19" {
			return false, nil
		}
		return true, last
	})
	if err != nil && last != nil {
		err = fmt.Errorf("%w: %w", err, last)
	}
	return err
}

// kill ends everything, whatever its state.
func (w *world) kill() (err error) {
	if w.daemon != nil {
		err = w.daemon.Kill()
	}
	if w.api != nil {
		w.api.Close()
	}
	for _, p := range []*fault.Proxy{w.proxy, w.identity} {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
	}
	for _, s := range w.servers {
		s.CloseClientConnections()
		s.Close()
	}
	if w.server != nil {
		err = errors.Join(err, w.server.Close())
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}
