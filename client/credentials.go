package client

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"

	"github.com/imagefs/imagefs/image"
)

// access is how to reach the service and as whom.
type access struct {
	endpoint string // the Image API itself; "" means: ask Keystone
	token    string // sent as it is when endpoint is set
	auth     gophercloud.AuthOptions
	where    gophercloud.EndpointOpts
	override string // the Image API, whatever Keystone's catalog says; "" for what that says
	tls      *tls.Config
}

// environmentCloud is the name of the cloud that the OS_* variables describe.
const environmentCloud = "environment"

// findAccess decides between --endpoint, an entry of clouds.yaml and the OS_*
// variables, and reads what is needed. Every failure is Misconfigured.
func findAccess(o Options) (*access, error) {
	a, err := findCredentials(o)
	if err != nil {
		return nil, err
	}
	if a.tls == nil {
		a.tls = new(tls.Config)
	}
	a.tls.MinVersion = tls.VersionTLS12
	a.tls.InsecureSkipVerify = a.tls.InsecureSkipVerify || o.Insecure
	return a, nil
}

func findCredentials(o Options) (*access, error) {
	if o.Endpoint != "" {
		if !isAddress(o.Endpoint) {
			return nil, misconfigured("the endpoint is not an http or https URL")
		}
		_, _, config, err := parseEnvironment() // the certificate variables alone
		if err != nil {
			return nil, misconfigured(err.Error())
		}
		return &access{endpoint: o.Endpoint, token: o.Token, tls: config}, nil
	}
	cloud := o.Cloud
	if cloud == "" {
		cloud = os.Getenv("OS_CLOUD")
	}
	var a access
	var err error
	switch {
	case cloud != "":
		entry := readEntry(cloud)
		if err := checkAuthType(entry.AuthType); err != nil {
			return nil, misconfigured(err.Error())
		}
		a.auth, a.where, a.tls, err = parseCloud(cloud)
		a.where.Region, a.override = cmp.Or(a.where.Region, entry.region()), entry.Override
	case os.Getenv("OS_AUTH_URL") != "":
		if err := checkAuthType(os.Getenv("OS_AUTH_TYPE")); err != nil {
			return nil, misconfigured(err.Error())
		}
		a.auth, a.where, a.tls, err = parseEnvironment()
		a.override = os.Getenv("OS_IMAGE_ENDPOINT_OVERRIDE")
	default:
		return nil, misconfigured("no cloud is named: use --cloud or $OS_CLOUD with a clouds.yaml, or $OS_AUTH_URL and the other OS_* variables, or --endpoint")
	}
	if err != nil {
		return nil, misconfigured(err.Error())
	}
	if a.auth.IdentityEndpoint == "" {
		return nil, misconfigured("auth_url is not set for cloud " + strconv.Quote(cloud))
	}
	if !isAddress(a.auth.IdentityEndpoint) { // and is not quoted: a password may stand in it
		return nil, misconfigured("auth_url is not an http or https URL")
	}
	tidy(&a.auth)
	credential := a.auth.ApplicationCredentialID != "" || a.auth.ApplicationCredentialName != ""
	if a.auth.TokenID != "" && a.auth.Password == "" && !credential {
		// gophercloud refuses a token together with the user's name, which
		// openstackclient ignores. A token cannot be renewed by itself.
		a.auth.Username, a.auth.UserID, a.auth.DomainID, a.auth.DomainName = "", "", "", ""
	} else {
		a.auth.TokenID = ""
		a.auth.AllowReauth = true
	}
	if credential {
		// The credential has its project; Keystone refuses a scope beside it.
		a.auth.Scope, a.auth.TenantID, a.auth.TenantName = nil, "", ""
	}
	// Whether something is missing shows when the request is made from it.
	if _, err := a.auth.ToTokenV3CreateMap(nil); err != nil {
		return nil, misconfigured(err.Error())
	}
	if _, err := a.auth.ToTokenV3ScopeMap(); err != nil {
		return nil, misconfigured(err.Error())
	}
	return &a, nil
}

// isAddress reports whether text is the URL of something that speaks HTTP.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// parseCloud reads an entry of clouds.yaml. gophercloud takes it for granted that there
// is an auth in it, in secure.yaml or in its profile, and panics where there is none.
func parseCloud(name string) (auth gophercloud.AuthOptions, where gophercloud.EndpointOpts, config *tls.Config, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("cloud %q has no auth: name its auth_url and credentials there, or give --endpoint for an Image API without Keystone", name)
		}
	}()
	return clouds.Parse(clouds.WithCloudName(name))
}

// defaultDomain is the id of the domain that Keystone makes at its installation;
// openstackclient assumes it where none is given.
const defaultDomain = "default"

// tidy resolves what openstackclient tolerates and gophercloud refuses.
func tidy(a *gophercloud.AuthOptions) {
	switch {
	case a.UserID != "": // it says which domain
		a.Username, a.DomainID, a.DomainName = "", "", ""
	case a.DomainID != "":
		a.DomainName = ""
	case a.Username != "" && a.DomainName == "":
		a.DomainID = defaultDomain
	}
	s := a.Scope
	switch {
	case s == nil:
	case s.DomainID != "":
		s.DomainName = ""
	case s.ProjectName != "" && s.DomainName == "":
		s.DomainID = defaultDomain
	}
}

func misconfigured(detail string) error {
	return &image.Error{Op: string(opConfigure), Kind: image.Misconfigured, Detail: detail}
}

// parseEnvironment reads the OS_* variables as openstackclient does. It writes
// them as a clouds.yaml for clouds.Parse, so that one reader decides what they
// mean. OS_REGION_NAME, OS_INTERFACE, OS_CACERT, OS_CERT and OS_KEY it reads by
// itself.
func parseEnvironment() (gophercloud.AuthOptions, gophercloud.EndpointOpts, *tls.Config, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := os.Getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	entry := clouds.Cloud{
		EndpointType: os.Getenv("OS_ENDPOINT_TYPE"),
		AuthInfo: &clouds.AuthInfo{
			AuthURL:  os.Getenv("OS_AUTH_URL"),
			Token:    first("OS_TOKEN", "OS_AUTH_TOKEN"),
			Username: os.Getenv("OS_USERNAME"), UserID: first("OS_USER_ID", "OS_USERID"),
			Password:                    os.Getenv("OS_PASSWORD"),
			ApplicationCredentialID:     os.Getenv("OS_APPLICATION_CREDENTIAL_ID"),
			ApplicationCredentialName:   os.Getenv("OS_APPLICATION_CREDENTIAL_NAME"),
			ApplicationCredentialSecret: os.Getenv("OS_APPLICATION_CREDENTIAL_SECRET"),
			ProjectName:                 first("OS_PROJECT_NAME", "OS_TENANT_NAME"),
			ProjectID:                   first("OS_PROJECT_ID", "OS_TENANT_ID"),
			UserDomainName:              os.Getenv("OS_USER_DOMAIN_NAME"),
			UserDomainID:                os.Getenv("OS_USER_DOMAIN_ID"),
			ProjectDomainName:           os.Getenv("OS_PROJECT_DOMAIN_NAME"),
			ProjectDomainID:             os.Getenv("OS_PROJECT_DOMAIN_ID"),
			DomainName:                  os.Getenv("OS_DOMAIN_NAME"),
			DomainID:                    os.Getenv("OS_DOMAIN_ID"),
			SystemScope:                 os.Getenv("OS_SYSTEM_SCOPE"),
			TrustID:                     os.Getenv("OS_TRUST_ID"),
		},
	}
	if insecure, err := strconv.ParseBool(os.Getenv("OS_INSECURE")); err == nil && insecure {
		entry.Verify = new(bool)
	}
	// JSON is YAML, and marshalling strings cannot fail.
	text, err := json.Marshal(clouds.Clouds{Clouds: map[string]clouds.Cloud{environmentCloud: entry}})
	if err != nil {
		return gophercloud.AuthOptions{}, gophercloud.EndpointOpts{}, nil, err
	}
	return clouds.Parse(clouds.WithCloudName(environmentCloud), clouds.WithCloudsYAML(bytes.NewReader(text)))
}
