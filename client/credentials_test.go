package client

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// An entry of clouds.yaml that leads nowhere is refused with what is wrong of it, and
// without its secrets.
func TestWrongClouds(t *testing.T) {
	for name, c := range map[string]struct{ entry, says string }{
		"empty":          {"", "has no auth"},
		"no auth":        {"{region_name: near}", "has no auth"},
		"auth is empty":  {"{auth: }", "has no auth"},
		"auth_type none": {"{auth_type: none}", "auth_type \"none\""},
		"another auth_type": {"{auth_type: v3oidcpassword, auth: {auth_url: 'http://127.0.0.1:1/v3', username: u, password: geheim}}",
			"application credential"},
		"no scheme":      {"{auth: {auth_url: 'geheim@127.0.0.1:1/v3', username: u, password: geheim}}", "auth_url is not"},
		"another scheme": {"{auth: {auth_url: 'ftp://127.0.0.1:1/v3', username: u, password: geheim}}", "auth_url is not"},
		"no host":        {"{auth: {auth_url: 'https:///v3', username: u, password: geheim}}", "auth_url is not"},
		"half an address": {"{auth: {auth_url: 'http://u:geheim@[x/v3', username: u, password: geheim}}",
			"auth_url is not"},
	} {
		t.Run(name, func(t *testing.T) {
			setOS(t, "CLIENT_CONFIG_FILE", cloudsYAML(t, c.entry))
			_, err := Dial(t.Context(), Options{Cloud: "mine"})
			wantKind(t, err, image.Misconfigured)
			if text := fmt.Sprint(err); !strings.Contains(text, c.says) || strings.Contains(text, "geheim") {
				t.Errorf("it says %q", text)
			}
		})
	}
}

// A password that is for another than Keystone is not sent to it.
func TestAuthTypes(t *testing.T) {
	k := newKeystone(t, fakeServer(t, glance("", anyToken)))
	for _, known := range []bool{true, false} {
		kind, want := "v3password", 1
		if !known {
			kind, want = "v3oidcpassword", 0
		}
		entry := "{auth_type: " + kind + ", region_name: near, auth: {auth_url: '" + k.URL + "/v3', username: u, password: pw, project_id: p}}"
		for name, env := range map[string][]string{
			"clouds.yaml": {"CLIENT_CONFIG_FILE", cloudsYAML(t, entry), "CLOUD", "mine"},
			"environment": {"AUTH_TYPE", kind, "AUTH_URL", k.URL + "/v3", "USERNAME", "u", "PASSWORD", "pw", "PROJECT_ID", "p", "REGION_NAME", "near"},
		} {
			setOS(t, env...)
			k.auth = nil
			c, err := Dial(t.Context(), Options{})
			if known && err == nil {
				c.Close()
			} else {
				wantKind(t, err, image.Misconfigured)
			}
			if len(k.auth) != want {
				t.Errorf("%s, %s: Keystone was sent %q", name, kind, k.auth)
			}
		}
	}
}

// A Keystone behind https whose list of versions has links without gets no password there.
func TestPasswordsStayEncrypted(t *testing.T) {
	k := newKeystone(t, fakeServer(t, glance("", anyToken)))
	https := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			fmt.Fprintf(w, `{"versions": {"values": [{"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": %q}]}]}}`, k.URL+"/v3/")
			return
		}
		k.serve(w, r)
	}))
	https.Config.ErrorLog = log.New(io.Discard, "", 0)
	https.StartTLS()
	t.Cleanup(https.Close)
	password := []string{"USERNAME", "u", "PASSWORD", "geheim", "PROJECT_NAME", "proj", "REGION_NAME", "near", "INSECURE", "true"}

	setOS(t, append(password, "AUTH_URL", strings.Replace(https.URL, "https", "HTTPS", 1))...)
	_, err := Dial(t.Context(), Options{})
	wantKind(t, err, image.Misconfigured)
	if len(k.auth) != 0 {
		t.Errorf("it was sent %s", k.auth)
	}
	if text := fmt.Sprint(err); !strings.Contains(text, "/v3") {
		t.Errorf("%q does not say how to go on", text)
	}

	setOS(t, append(password, "AUTH_URL", https.URL+"/v3")...)
	dial(t, Options{}) // links count no more
}

// A token that is for no project is not one of somebody to whom all images belong.
func TestNoProject(t *testing.T) {
	k := newKeystone(t, fakeServer(t, glance("", anyToken)))
	k.global = true
	setOS(t, "AUTH_URL", k.URL+"/v3", "USERNAME", "u", "PASSWORD", "pw", "SYSTEM_SCOPE", "all", "REGION_NAME", "near")
	_, err := Dial(t.Context(), Options{})
	wantKind(t, err, image.Misconfigured)
	if text := fmt.Sprint(err); !strings.Contains(text, "project") {
		t.Errorf("it says %s", text)
	}
}

// Of regions that are listed the first counts, as for openstackclient, unless one is named.
func TestRegions(t *testing.T) {
	for _, c := range []struct{ regions, variable, want string }{
		{"regions: [near, far]", "", "near"}, {"regions: [{name: near, values: {}}, far]", "", "near"},
		{"regions: [near], region_name: far", "", "far"}, {"regions: [near]", "far", "far"}, {"regions: []", "", ""}, {"regions: [[near]]", "", ""},
	} {
		entry := "{" + c.regions + ", auth: {auth_url: 'http://127.0.0.1:1/v3', username: u, password: pw, project_id: p}}"
		setOS(t, "CLIENT_CONFIG_FILE", cloudsYAML(t, entry), "REGION_NAME", c.variable)
		a, err := findAccess(Options{Cloud: "mine"})
		if c.regions == "regions: [[near]]" {
			wantKind(t, err, image.Misconfigured)
			continue
		}
		if err != nil || a.where.Region != c.want {
			t.Errorf("%s, $OS_REGION_NAME %q: %v, %v", c.regions, c.variable, a, err)
		}
	}
}

// The address that somebody gives the service himself counts, not the one of the catalog.
func TestEndpointOverride(t *testing.T) {
	k := newKeystone(t, fakeServer(t, glance("", anyToken)))
	other := fakeServer(t, glance("", anyToken))
	entry := "{region_name: near, image_endpoint_override: '" + other + "/v2', auth: {auth_url: '" + k.URL + "/v3', username: u, password: pw, project_id: p}}"
	for name, env := range map[string][]string{
		"clouds.yaml": {"CLIENT_CONFIG_FILE", cloudsYAML(t, entry), "CLOUD", "mine"},
		"environment": {"IMAGE_ENDPOINT_OVERRIDE", other, "AUTH_URL", k.URL + "/v3", "USERNAME", "u", "PASSWORD", "pw", "PROJECT_ID", "p", "REGION_NAME", "near"},
	} {
		setOS(t, env...)
		if got := dial(t, Options{}).Service(); got != other+"/v2" {
			t.Errorf("%s: %s is used, want %s", name, got, other)
		}
	}
}
