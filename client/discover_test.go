package client

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestDiscover(t *testing.T) {
	setOS(t)
	v2 := func(prefix string) http.HandlerFunc { return glance(prefix, anyToken) }
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		path    string
		service string // "" when it fails
	}{
		{"no suffix", v2(""), "", "/v2"},
		{"a slash", v2(""), "/", "/v2"},
		{"versioned", v2(""), "/v2", "/v2"},
		{"versioned, with a slash", v2(""), "/v2/", "/v2"},
		{"minor version", v2(""), "/v2.16", "/v2"},
		{"an old version in the catalog", v2(""), "/v1", "/v2"},
		{"prefix", v2("/image"), "/image", "/image/v2"},
		{"prefix and version", v2("/image"), "/image/v2/", "/image/v2"},
		{"only v2 is published", func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/v2/") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprint(w, `{"images": []}`)
		}, "/v2", "/v2"},
		{"only v1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"versions": [{"id": "v1.1"}]}`) }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := fakeServer(t, c.handler)
			client, err := Dial(t.Context(), Options{Endpoint: url + c.path})
			if c.service == "" {
				wantKind(t, err, image.UnexpectedAnswer)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if got := client.Service(); got != url+c.service {
				t.Errorf("service %q", got)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	for endpoint, want := range map[string]string{
		"HTTP://Glance.Example:80/":           "http://glance.example",
		"https://glance.example:443/v2/":      "https://glance.example",
		"https://user:pw@g.example/x/v2?a#b":  "https://g.example/x",
		"http://[2001:DB8::1]:80/v2":          "http://[2001:db8::1]",
		"http://[2001:db8::1]:9292":           "http://[2001:db8::1]:9292",
		"https://g.example/image%2Fx/v2.9//":  "https://g.example/image%2Fx",
		" http://g.example:9292/Image/v2 ":    "http://g.example:9292/Image",
		"https://g.example/v2/project/images": "https://g.example/v2/project/images",
	} {
		if got, _, err := canonical(endpoint); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", endpoint, got, err, want)
		}
	}
	for _, endpoint := range []string{"", "glance", "ftp://g.example", "http://", "http://:80", "http://a b/"} {
		if got, _, err := canonical(endpoint); err == nil {
			t.Errorf("%q: %q", endpoint, got)
		}
	}
}

// TestCertificates: unknown, named by cacert, and not wanted.
func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(glance("", anyToken))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of refused handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	setOS(t)
	_, err := Dial(t.Context(), Options{Endpoint: server.URL})
	wantKind(t, err, image.Untrusted)

	path := t.TempDir() + "/ca.pem"
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	setOS(t, "CACERT", path)
	dial(t, Options{Endpoint: server.URL})
	_, err = Dial(t.Context(), Options{Endpoint: strings.Replace(server.URL, "127.0.0.1", "localhost", 1)})
	wantKind(t, err, image.Untrusted) // another name than the certificate's

	setOS(t, "INSECURE", "true")
	if !dial(t, Options{Endpoint: server.URL}).Insecure() {
		t.Error("it does not say that no certificate is verified")
	}
	setOS(t)
	if !dial(t, Options{Endpoint: server.URL, Insecure: true}).Insecure() {
		t.Error("it does not say that no certificate is verified")
	}
	setOS(t, "CACERT", path)
	if dial(t, Options{Endpoint: server.URL}).Insecure() {
		t.Error("it says that no certificate is verified")
	}

	setOS(t)
	_, err = Dial(t.Context(), Options{Endpoint: strings.Replace(fakeServer(t, glance("", anyToken)), "http", "https", 1)})
	wantKind(t, err, image.Untrusted) // no TLS at all
}

// TestOldTLS: what everybody can break is not spoken, with whatever certificate.
func TestOldTLS(t *testing.T) {
	setOS(t)
	for version, refused := range map[uint16]bool{tls.VersionTLS10: true, tls.VersionTLS11: true, tls.VersionTLS12: false} {
		server := httptest.NewUnstartedServer(glance("", anyToken))
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of refused handshakes
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		server.StartTLS()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // it may be tried again
		c, err := Dial(ctx, Options{Endpoint: server.URL, Insecure: true})
		cancel()
		if refused != (err != nil) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
		server.Close()
	}
}

// TestHashAlgo: the listing that Dial makes tells how the service hashes.
func TestHashAlgo(t *testing.T) {
	setOS(t)
	for page, want := range map[string]string{
		`[]`: "",
		`[` + record(someID, `, "os_hash_algo": "sha256"`) + `]`: "sha256",
		`[` + record(someID, `, "os_hash_algo": null`) + `]`:     "",
		`[{"os_hash_algo": "sha256"}]`:                           "", // no record
	} {
		c := dial(t, Options{Endpoint: fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/images" {
				fmt.Fprintf(w, `{"images": %s}`, page)
				return
			}
			glance("", anyToken)(w, r)
		})})
		if got := c.HashAlgo(); got != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}
