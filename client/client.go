package client

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Defaults of Options.
const (
	// defaultStreams is used when Options.Streams is not positive: enough to
	// fill a 10 Gbit/s path from a Glance whose worker serves about 2 Gbit/s.
	defaultStreams = 8
	// defaultStall is how long a request may make no progress.
	defaultStall = 60 * time.Second
	// answerStalls times Stall is how long the answer to an upload may take
	// after the last byte was handed to the connection. The store finishes its
	// work in that time (an object store assembles its parts, Glance inspects
	// the content), and nothing can be seen to move meanwhile.
	answerStalls = 5
)

// Options say which service to use and how. The zero value uses the environment.
type Options struct {
	// Cloud is an entry of clouds.yaml; "" means $OS_CLOUD, else the OS_*
	// variables.
	Cloud string
	// Endpoint is the Image API itself. When it is set there is no Keystone,
	// and Token, if any, is sent as it is.
	Endpoint string
	Token    string
	// Insecure takes any certificate, as clouds.yaml and OS_INSECURE can say, too.
	Insecure bool
	// Streams is the most data transfers (bodies being read) at once. Uploads
	// are limited by whoever starts them.
	Streams int
	// Stall is how long a request may make no progress, in either direction,
	// before it fails with image.Stalled.
	Stall time.Duration
	// Store is the store that uploads go to; "" leaves it to the service.
	Store string
	// UserAgent is sent with every request to the Image service and prepended
	// to gophercloud's for Keystone.
	UserAgent string
	Logger    *slog.Logger // nil logs nothing
	Observer  Observer     // hears of all requests; nil: nobody does
}

// Client talks to one Image service with one set of credentials. Its methods may
// be called from any number of goroutines; their errors are *image.Error.
type Client struct {
	options     Options
	log         *slog.Logger
	session     *session
	base        string // Service()
	plain       *http.Client
	upload      *http.Client // one connection per request, see newTransports
	idle        []func()     // closes idle connections
	streams     *semaphore.Weighted
	ranges      *rangeless
	permissions *permissions
	updates     *keyLock
	usage       usageSwitch
	clock       clock
	imports     atomic.Bool // data is refused by PUT and taken for import: see import.go
	retries     retries
	bounds      listBounds
	traffic     *traffic

	identifies bool // the service gives each answer of its own a request id; set by Dial alone

	insecure bool // set by Dial alone

	hashAlgo string // os_hash_algo of the image that Dial listed; set by it alone
}

func (o Options) withDefaults() Options {
	if o.Streams <= 0 {
		o.Streams = defaultStreams
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.UserAgent == "" {
		o.UserAgent = "imagefs"
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Dial authenticates, finds the Image service, and makes sure that it is one and
// that it takes the credentials. The ctx bounds Dial alone. The caller closes the
// Client. Kinds: Misconfigured, Credentials, Forbidden, Unreachable, Untrusted,
// UnexpectedAnswer, Unavailable, Stalled, IdentityAway.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o = o.withDefaults()
	access, err := findAccess(o)
	if err != nil {
		return nil, err
	}
	t := newTransports(o, access.tls)
	s, endpoint, err := newSession(ctx, access, t.identity, o)
	if err != nil {
		t.closeIdle()
		return nil, err
	}
	c := newClient(o, t, s)
	c.insecure = access.tls.InsecureSkipVerify
	c.retries.budget = c.retries.dialBudget
	if err := c.discover(ctx, endpoint); err != nil {
		c.Close()
		return nil, err
	}
	c.retries.budget = budgetOf(o.Stall)
	c.log.Info("image service found", "service", c.base, "project", s.project, "user", s.user)
	return c, nil
}

func newClient(o Options, t *transports, s *session) *Client {
	return &Client{
		options: o, log: o.Logger, session: s,
		plain: t.plain, upload: t.upload, idle: []func(){t.closeIdle},
		streams: semaphore.NewWeighted(int64(o.Streams)),
		ranges:  newRangeless(), bounds: defaultListBounds, permissions: newPermissions(), updates: newKeyLock(), retries: defaultRetries,
		traffic: newTraffic(o.Logger, budgetOf(o.Stall)),
	}
}

// Close ends a renewal of the token that is under way and closes idle
// connections. Bodies that are still open are not touched.
func (c *Client) Close() {
	c.session.close()
	for _, closeIdle := range c.idle {
		closeIdle()
	}
}

// Service returns the canonical URL of the Image API, with its version, without
// secrets and without a slash at the end. It names the service in keys and
// journals.
func (c *Client) Service() string { return c.base }

// Insecure reports whether any certificate is taken, whoever said so.
func (c *Client) Insecure() bool { return c.insecure }

// Project returns the id of the project that the credentials are for; "" when it
// is unknown, as it is without Keystone.
func (c *Client) Project() string { return c.session.project }

// HashAlgo returns the os_hash_algo of some image, as it was when the client was
// made; "" where there was none.
func (c *Client) HashAlgo() string { return c.hashAlgo }

// User returns the name of the user; "" when it is unknown.
func (c *Client) User() string { return c.session.user }
