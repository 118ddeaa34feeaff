package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/imagefs/imagefs/image"
)

// dialKeystone dials a fake cloud by OS_* variables; valid decides which tokens
// the Image service takes.
func dialKeystone(t *testing.T, valid func(string) bool) (*Client, *keystone) {
	t.Helper()
	k := newKeystone(t, fakeServer(t, glance("", valid)))
	setOS(t, "AUTH_URL", k.URL+"/v3", "USERNAME", "u", "PASSWORD", "pw", "PROJECT_NAME", "proj", "REGION_NAME", "near")
	c := dial(t, Options{})
	c.retries = quickRetries
	return c, k
}

// age makes the token one that was not just issued.
func (s *session) age() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued = time.Time{}
}

// TestRenewal: an expired token is renewed once, however many requests notice,
// and the cancellation of the one who noticed first does not fail the others.
func TestRenewal(t *testing.T) {
	var mu sync.Mutex
	good := "token-1"
	c, k := dialKeystone(t, func(token string) bool { mu.Lock(); defer mu.Unlock(); return token == good })
	if c.Project() != "p1" || c.User() != "ursula" {
		t.Errorf("project %q, user %q", c.Project(), c.User())
	}
	mu.Lock()
	good = "token-2"
	mu.Unlock()
	c.session.age()
	k.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := c.Get(ctx, someID); first <- err }()
	for { // until the renewal runs
		c.session.mu.Lock()
		running := c.session.renewal != nil
		c.session.mu.Unlock()
		if running {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := c.Get(t.Context(), someID); err != nil {
				t.Error(err)
			}
		})
	}
	cancel()
	wantKind(t, <-first, image.Interrupted)
	close(k.hold)
	wg.Wait()
	if n := k.issued.Load(); n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
}

// TestRefusedCredentials: Keystone refuses a renewal, once for many requests.
func TestRefusedCredentials(t *testing.T) {
	c, k := dialKeystone(t, func(token string) bool { return token == "token-1" })
	k.status.Store(http.StatusUnauthorized)
	c.session.age()
	if err := c.session.provider.SetTokenAndAuthResult(nil); err != nil { // it is gone
		t.Fatal(err)
	}
	for range 3 {
		_, err := c.Get(t.Context(), someID)
		wantKind(t, err, image.Credentials)
	}
}

// TestIdentityAway: Keystone does not answer, or has failed.
func TestIdentityAway(t *testing.T) {
	for _, status := range []int32{0, 503} {
		var mu sync.Mutex
		valid := true
		c, k := dialKeystone(t, func(string) bool { mu.Lock(); defer mu.Unlock(); return valid })
		c.retries.budget = 50 * time.Millisecond
		mu.Lock()
		valid = false
		mu.Unlock()
		k.status.Store(status)
		if status == 0 {
			k.Close()
		}
		_, err := c.Get(t.Context(), someID) // the token was just issued
		wantKind(t, err, image.IdentityAway)
		c.session.age()
		_, err = c.Get(t.Context(), someID)
		wantKind(t, err, image.IdentityAway)
	}
}

// TestJustIssued: a new token that is refused is not renewed again.
func TestJustIssued(t *testing.T) {
	var mu sync.Mutex
	valid := true
	c, k := dialKeystone(t, func(string) bool { mu.Lock(); defer mu.Unlock(); return valid })
	mu.Lock()
	valid = false
	mu.Unlock()
	_, err := c.Get(t.Context(), someID)
	wantKind(t, err, image.Credentials)
	c.session.age()
	_, err = c.Get(t.Context(), someID) // renewed, and still refused
	wantKind(t, err, image.Credentials)
	if n := k.issued.Load(); n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
}

// TestStaticToken: without Keystone there is nothing to renew.
func TestStaticToken(t *testing.T) {
	setOS(t)
	_, err := Dial(t.Context(), Options{Endpoint: fakeServer(t, glance("", func(s string) bool { return s == "good" })), Token: "bad"})
	wantKind(t, err, image.Credentials)
	c := dial(t, Options{Endpoint: fakeServer(t, glance("", func(s string) bool { return s == "good" })), Token: "good"})
	if c.Project() != "" || c.User() != "" {
		t.Errorf("project %q, user %q", c.Project(), c.User())
	}
}

// TestCredentialForms: what is sent to Keystone for each form.
func TestCredentialForms(t *testing.T) {
	k := newKeystone(t, fakeServer(t, glance("", anyToken)))
	for _, c := range []struct {
		name   string
		env    []string
		clouds string
		want   string
	}{
		{"password", []string{"USERNAME", "u", "PASSWORD", "pw", "PROJECT_NAME", "proj", "USER_DOMAIN_NAME", "ud", "PROJECT_DOMAIN_NAME", "pd"}, "",
			`{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"ud"},"name":"u","password":"pw"}}},"scope":{"project":{"domain":{"name":"pd"},"name":"proj"}}}`},
		{"password without domains", []string{"USERNAME", "u", "PASSWORD", "pw", "PROJECT_NAME", "proj"}, "",
			`{"identity":{"methods":["password"],"password":{"user":{"domain":{"id":"default"},"name":"u","password":"pw"}}},"scope":{"project":{"domain":{"id":"default"},"name":"proj"}}}`},
		{"user and project by id", []string{"USER_ID", "uid", "PASSWORD", "pw", "PROJECT_ID", "pid", "USER_DOMAIN_NAME", "ud"}, "",
			`{"identity":{"methods":["password"],"password":{"user":{"id":"uid","password":"pw"}}},"scope":{"project":{"id":"pid"}}}`},
		{"application credential", []string{"APPLICATION_CREDENTIAL_ID", "ac", "APPLICATION_CREDENTIAL_SECRET", "s", "PROJECT_NAME", "ignored"}, "",
			`{"identity":{"application_credential":{"id":"ac","secret":"s"},"methods":["application_credential"]}}`},
		{"application credential beside a token", []string{"APPLICATION_CREDENTIAL_ID", "ac", "APPLICATION_CREDENTIAL_SECRET", "s", "TOKEN", "ignored"}, "",
			`{"identity":{"application_credential":{"id":"ac","secret":"s"},"methods":["application_credential"]}}`},
		{"token", []string{"TOKEN", "tok", "PROJECT_ID", "pid", "USERNAME", "ignored"}, "",
			`{"identity":{"methods":["token"],"token":{"id":"tok"}},"scope":{"project":{"id":"pid"}}}`},
		{"clouds.yaml", nil, `{auth: {auth_url: URL, username: u, password: pw, project_id: pid, user_domain_id: d}, region_name: near, verify: true}`,
			`{"identity":{"methods":["password"],"password":{"user":{"domain":{"id":"d"},"name":"u","password":"pw"}}},"scope":{"project":{"id":"pid"}}}`},
		{"clouds.yaml, application credential", nil, `{auth_type: v3applicationcredential, auth: {auth_url: URL, application_credential_id: ac, application_credential_secret: s}, region_name: near}`,
			`{"identity":{"application_credential":{"id":"ac","secret":"s"},"methods":["application_credential"]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			setOS(t, append(c.env, "AUTH_URL", k.URL+"/v3", "REGION_NAME", "near")...)
			o := Options{}
			if c.clouds != "" {
				setOS(t, "CLIENT_CONFIG_FILE", cloudsYAML(t, strings.ReplaceAll(c.clouds, "URL", k.URL+"/v3")))
				o.Cloud = "mine"
			}
			client := dial(t, o)
			k.mu.Lock()
			sent := k.auth[len(k.auth)-1]
			k.mu.Unlock()
			var got struct {
				Auth any `json:"auth"`
			}
			if err := json.Unmarshal([]byte(sent), &got); err != nil {
				t.Fatal(err)
			}
			if text, _ := json.Marshal(got.Auth); string(text) != c.want {
				t.Errorf("sent %s\nwant %s", text, c.want)
			}
			if renews := client.session.provider.ReauthFunc != nil; renews == (c.name == "token") {
				t.Errorf("renews itself: %v", renews)
			}
		})
	}
}

func cloudsYAML(t *testing.T, entry string) string {
	t.Helper()
	path := t.TempDir() + "/clouds.yaml"
	if err := os.WriteFile(path, []byte("clouds: {mine: "+entry+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDialRefusals: each wrong setting has its kind.
func TestDialRefusals(t *testing.T) {
	service := fakeServer(t, glance("", anyToken))
	k := newKeystone(t, service)
	notKeystone := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome to nginx") })
	missing := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	broken := fakeServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	password := func(url string, more ...string) []string {
		return append([]string{"AUTH_URL", url, "USERNAME", "u", "PASSWORD", "pw", "PROJECT_ID", "p"}, more...)
	}
	for _, c := range []struct {
		name string
		env  []string
		o    Options
		want image.Kind
	}{
		{"nothing at all", nil, Options{}, image.Misconfigured},
		{"unknown cloud", []string{"CLIENT_CONFIG_FILE", cloudsYAML(t, "{}")}, Options{Cloud: "other"}, image.Misconfigured},
		{"no file", []string{"CLIENT_CONFIG_FILE", "/nonexistent/clouds.yaml"}, Options{Cloud: "mine"}, image.Misconfigured},
		{"a bad file", []string{"CLIENT_CONFIG_FILE", cloudsYAML(t, "{auth: [}")}, Options{Cloud: "mine"}, image.Misconfigured},
		{"no auth_url", []string{"CLIENT_CONFIG_FILE", cloudsYAML(t, "{auth: {username: u}}")}, Options{Cloud: "mine"}, image.Misconfigured},
		{"no password", []string{"AUTH_URL", k.URL + "/v3", "USERNAME", "u"}, Options{}, image.Misconfigured},
		{"no such region", password(k.URL+"/v3", "REGION_NAME", "nowhere"), Options{}, image.Misconfigured},
		{"no such interface", password(k.URL+"/v3", "REGION_NAME", "near", "INTERFACE", "admin"), Options{}, image.Misconfigured},
		{"no certificate file", password(k.URL+"/v3", "CACERT", "/nonexistent"), Options{}, image.Misconfigured},
		{"the image service is down", password(k.URL+"/v3", "REGION_NAME", "far"), Options{}, image.Unreachable},
		{"not Keystone", password(notKeystone + "/v3"), Options{}, image.UnexpectedAnswer},
		{"not Keystone's address", password(missing + "/v3"), Options{}, image.Misconfigured},
		{"Keystone is down", password("http://127.0.0.1:1/v3"), Options{}, image.Unreachable},
		{"Keystone is broken", password(broken + "/v3"), Options{}, image.Unavailable},
		{"endpoint is no URL", nil, Options{Endpoint: "glance:9292"}, image.Misconfigured},
		{"endpoint is something else", nil, Options{Endpoint: notKeystone}, image.UnexpectedAnswer},
		{"endpoint is something else, with a version", nil, Options{Endpoint: notKeystone + "/v2"}, image.UnexpectedAnswer},
		{"endpoint is nothing", nil, Options{Endpoint: missing + "/v2"}, image.UnexpectedAnswer},
		{"endpoint is broken", nil, Options{Endpoint: broken}, image.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			setOS(t, c.env...)
			_, err := Dial(t.Context(), c.o)
			wantKind(t, err, c.want)
			if err != nil && strings.Contains(err.Error(), "pw") {
				t.Errorf("%v tells the password", err)
			}
		})
	}
}

// What Keystone says is of no image, and what breaks off is not what it has to say.
func TestIdentityErrors(t *testing.T) {
	for status, want := range map[int]image.Kind{
		400: image.Credentials, 401: image.Credentials, 403: image.Credentials, 404: image.Misconfigured, 409: image.UnexpectedAnswer,
		410: image.UnexpectedAnswer, 413: image.UnexpectedAnswer, 429: image.Unavailable, 500: image.Unavailable,
	} {
		wantKind(t, identityError(t.Context(), gophercloud.ErrUnexpectedResponseCode{Actual: status}, false), want)
	}
	lost := gophercloud.ErrUnexpectedResponseCode{Actual: 404, Body: []byte(`{"error": {"code": 404, "message": "Could not recognize Fernet token"}}`)}
	wantKind(t, identityError(t.Context(), lost, true), image.Credentials)
	if err := identityError(t.Context(), errors.New("no versions"), false); !strings.Contains(err.Error(), "auth_url") {
		t.Errorf("%v does not say what is wrong", err)
	}
	wantKind(t, identityError(t.Context(), fmt.Errorf("token: %w", io.ErrUnexpectedEOF), false), image.Unavailable)
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET} // as a body that was being read has it
	wantKind(t, identityError(t.Context(), reset, false), image.Unavailable)
	wantKind(t, identityError(t.Context(), errors.New("no token"), false), image.UnexpectedAnswer)
}
