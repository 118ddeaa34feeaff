package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/imagefs/imagefs/bench/link"
)

// site is a pair of servers of the same files: the embedded Image service for
// imagefs and curl, and a static one for those who cannot ask for a token or need
// HEAD. Both are behind links of the same shape, or behind none.
type site struct {
	api, static         string // HOST:PORT
	token               string // "" where none is asked for
	dir, data           string // the service's, and where in it the bytes are, by id
	files               string // directory of the static one: hard links into dir
	apiLink, staticLink *link.Link
}

func (s *site) endpoint() string         { return "http://" + s.api }
func (s *site) file(p published) string  { return "http://" + s.static + "/" + p.name }
func (s *site) image(p published) string { return s.endpoint() + "/v2/images/" + p.id + "/file" }

// carried is what both links have carried so far.
func (s *site) carried() link.Counts {
	if s.apiLink == nil {
		return link.Counts{}
	}
	return s.apiLink.Counts().Add(s.staticLink.Counts())
}

var listening = regexp.MustCompile(`listening on http://([^;\s]+)`)

// newSite starts both servers without a link, for the rest of the scope.
func (l *lab) newSite(ctx context.Context, name string, args ...string) (*site, error) {
	s := &site{dir: filepath.Join(l.dir, name), data: "data", files: filepath.Join(l.dir, name+"-files")}
	if err := os.Mkdir(s.files, 0o700); err != nil {
		return nil, err
	}
	// Not ctx: whoever is mounted on it ends first.
	served, err := l.start(context.WithoutCancel(ctx), l.options.imagefs, append([]string{"serve", "--dir", s.dir, "--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return nil, err
	}
	l.atEnd(served.stop)
	err = served.wait(ctx, func() bool {
		said, _ := os.ReadFile(served.log) // not there yet is not ready
		found := listening.FindSubmatch(said)
		if found != nil {
			s.api = string(found[1])
		}
		return found != nil
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.static = listener.Addr().String()
	server := &http.Server{Handler: http.FileServer(http.Dir(s.files))}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	l.atEnd(func() error {
		err := server.Close()
		if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	})
	return s, nil
}

// behind is the same site behind links.
func (l *lab) behind(s *site, shape link.Shape) (*site, error) {
	far := *s
	var err error
	if far.apiLink, err = link.Open(s.api, shape); err != nil {
		return nil, err
	}
	l.atEnd(far.apiLink.Close)
	if far.staticLink, err = link.Open(s.static, shape); err != nil {
		return nil, err
	}
	l.atEnd(far.staticLink.Close)
	far.api, far.static = far.apiLink.Addr(), far.staticLink.Addr()
	return &far, nil
}
