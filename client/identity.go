package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/imagefs/imagefs/image"
)

const (
	// justIssued is how old a token may be for a 401 to mean that it is not
	// allowed to do this (access rules), and not that it has expired.
	justIssued = 5 * time.Second
	// refusalLasts is how long Keystone's refusal to renew a token is
	// remembered: many requests fail at once, and asking for each would lock
	// the account.
	refusalLasts = 10 * time.Second
	// renewTimeout bounds one renewal.
	renewTimeout = 30 * time.Second
	// probeTimeout bounds the question whether Keystone is there.
	probeTimeout = 10 * time.Second
)

// session holds the token. Without Keystone it holds what it was given.
type session struct {
	provider      *gophercloud.ProviderClient // nil without Keystone
	http          *http.Client                // Keystone's
	identity      string                      // Keystone's URL; "" without
	static        string
	project, user string

	life context.Context // of renewals
	end  context.CancelFunc
	work sync.WaitGroup // renewals

	mu      sync.Mutex // guards the fields below
	closed  bool
	issued  time.Time // of the current token
	refused string    // the token whose renewal failed,
	because error     // why,
	when    time.Time // and when
	renewal *renewal  // under way, else nil
}

// renewal is one request for a new token, shared by all who wait for it.
type renewal struct {
	done chan struct{} // closed when err is set
	err  error
}

// newSession authenticates and returns the Image service's endpoint.
func newSession(ctx context.Context, a *access, client *http.Client, o Options) (*session, string, error) {
	s := &session{http: client, static: a.token}
	s.life, s.end = context.WithCancel(context.Background())
	if a.endpoint != "" {
		return s, a.endpoint, nil
	}
	endpoint, err := s.authenticate(ctx, a, o)
	if err != nil {
		s.end()
		return nil, "", err
	}
	return s, endpoint, nil
}

func (s *session) authenticate(ctx context.Context, a *access, o Options) (string, error) {
	provider, err := openstack.NewClient(a.auth.IdentityEndpoint)
	if err != nil {
		return "", misconfigured("auth_url: " + err.Error())
	}
	provider.HTTPClient = *s.http
	if u, err := url.Parse(provider.IdentityEndpoint); err == nil && u.Scheme == "https" {
		provider.HTTPClient.Transport = &encrypted{s.http.Transport}
	}
	provider.UserAgent.Prepend(o.UserAgent)
	s.provider, s.identity = provider, a.auth.IdentityEndpoint
	if err := defaultRetries.dial(ctx, func() error {
		return identityError(ctx, openstack.Authenticate(ctx, provider, a.auth), a.auth.TokenID != "")
	}); err != nil {
		return "", err
	}
	s.issued = time.Now()
	if r, ok := provider.GetAuthResult().(interface {
		ExtractProject() (*tokens.Project, error)
		ExtractUser() (*tokens.User, error)
	}); ok {
		switch p, err := r.ExtractProject(); {
		case err == nil && p == nil: // else all images would count as the caller's own
			return "", misconfigured("the credentials are for no project, and images belong to projects: name one (project_name)")
		case err == nil:
			s.project = p.ID
		}
		// A token without a user is fine: it is only unknown.
		if u, err := r.ExtractUser(); err == nil && u != nil {
			s.user = u.Name
		}
	}
	if a.override != "" {
		return a.override, nil
	}
	a.where.ApplyDefaults("image")
	endpoint, err := provider.EndpointLocator(a.where)
	if err != nil {
		return "", misconfigured(fmt.Sprintf("Keystone's catalog has no image service for region %q and interface %q (is the token for a project?)",
			a.where.Region, a.where.Availability))
	}
	return endpoint, nil
}

// encrypted sends nothing unencrypted. Keystone's list of versions has links, to which
// gophercloud sends the password: behind a proxy they are often http where auth_url is https.
type encrypted struct{ next http.RoundTripper }

func (e *encrypted) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "https" {
		return e.next.RoundTrip(req)
	}
	if req.Body != nil {
		_ = req.Body.Close() // it is not sent
	}
	return nil, misconfigured(fmt.Sprintf("Keystone says that it is at %s://%s, which would send the password unencrypted: write auth_url with its version, as in https://HOST/v3",
		req.URL.Scheme, req.URL.Host))
}

// token returns what to send; "" for nothing.
func (s *session) token() string {
	if s.provider == nil {
		return s.static
	}
	return s.provider.Token()
}

// renew returns another token than the one that a 401 has refused. It returns
// Credentials when there is none to be had, IdentityAway when Keystone does not
// answer. The renewal is shared; ctx ends only the waiting.
func (s *session) renew(ctx context.Context, old string) (string, error) {
	s.mu.Lock()
	current := s.token()
	switch {
	case current != old:
		s.mu.Unlock()
		return current, nil
	case s.provider == nil:
		s.mu.Unlock()
		return "", &image.Error{Op: string(opAuthenticate), Kind: image.Credentials, Detail: "the service refuses the token, and without Keystone there is no other"}
	case s.refused == old && time.Since(s.when) < refusalLasts:
		defer s.mu.Unlock()
		return "", s.because
	case s.provider.ReauthFunc == nil || time.Since(s.issued) < justIssued:
		s.mu.Unlock()
		return "", s.unrenewable(ctx)
	case s.closed:
		s.mu.Unlock()
		return "", &image.Error{Op: string(opAuthenticate), Kind: image.Interrupted, Detail: "the client is closed"}
	}
	r := s.renewal
	if r == nil {
		r = &renewal{done: make(chan struct{})}
		s.renewal = r
		s.work.Go(func() { s.run(r, old) })
	}
	s.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		return "", &image.Error{Op: string(opAuthenticate), Kind: image.KindOf(ctx.Err()), Err: &renewalError{ctx.Err()}}
	}
	if r.err != nil {
		return "", r.err
	}
	return s.token(), nil
}

func (s *session) run(r *renewal, old string) {
	ctx, cancel := context.WithTimeout(s.life, renewTimeout)
	defer cancel()
	err := identityError(ctx, s.provider.ReauthFunc(ctx), false)
	switch image.KindOf(err) {
	case image.Unreachable, image.Unavailable, image.Stalled, image.Untrusted:
		err = away(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewal = nil
	if err == nil {
		s.issued = time.Now()
	} else if image.Is(err, image.Credentials) {
		s.refused, s.because, s.when = old, err, time.Now()
	}
	r.err = err
	close(r.done)
}

func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.work.Wait()
}

// unrenewable tells a token that is refused from a Glance that cannot ask
// Keystone about it.
func (s *session) unrenewable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.identity, nil)
	if err != nil {
		return misconfigured("auth_url: " + err.Error())
	}
	resp, err := s.http.Do(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return &image.Error{Op: string(opAuthenticate), Kind: image.Interrupted, Err: ctx.Err()}
		}
		return away(err)
	}
	words := readDetail(resp)
	if resp.StatusCode >= http.StatusInternalServerError {
		return away(fmt.Errorf("%s: %s", resp.Status, words))
	}
	return &image.Error{Op: string(opAuthenticate), Kind: image.Credentials, Detail: "the service refuses a token that it was just given"}
}

func away(err error) error {
	return &image.Error{Op: string(opAuthenticate), Kind: image.IdentityAway, Err: err}
}

// identityError gives a failure of Keystone, as gophercloud reports it, its kind. byToken: it
// was given a token, and no password.
func identityError(ctx context.Context, err error, byToken bool) error {
	if err == nil {
		return nil
	}
	e := &image.Error{Op: string(opAuthenticate)}
	var code gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &code):
		e.Detail = detail(code.Body[:min(len(code.Body), maxErrorBody)])
		e.Kind = kindOfStatus(opAuthenticate, code.Actual, e.Detail)
		e.RequestID = code.ResponseHeader.Get(headerRequestID)
		switch e.Kind {
		case image.Forbidden, image.Rejected:
			e.Kind = image.Credentials
		case image.Misconfigured:
			if byToken { // 404 is also what Keystone says of a token that has expired
				e.Kind = image.Credentials
			}
		case image.NotFound, image.Busy, image.Full, image.Quota: // said of no image
			e.Kind = image.UnexpectedAnswer
		}
		e.Err = &answerError{status: code.Actual}
	case errors.Is(err, errAnswerTooLarge), isSyntax(err):
		e.Kind, e.Err = image.UnexpectedAnswer, err
	default:
		e.Kind, e.Err = kindOfTransport(ctx, err), err
		var broken *net.OpError // in the middle of the answer
		if e.Kind == image.Unavailable && !isTransport(err) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &broken) {
			// gophercloud has no type for "this is not Keystone".
			e.Kind = image.UnexpectedAnswer
		}
	}
	if e.Kind == image.UnexpectedAnswer {
		e.Detail = strings.TrimSuffix("auth_url may not be Keystone's: "+e.Detail, ": ")
	}
	return e
}
