package client

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"go.yaml.in/yaml/v3"
)

// authTypes are the ways to authenticate that gophercloud knows. It looks at what is
// given, and never at auth_type.
var authTypes = []string{
	"", "password", "v3password", "v2password", "token", "v3token", "v2token", "v3applicationcredential",
}

// checkAuthType refuses every other way: what is called a password there is one of a
// server other than Keystone, which must not have it.
func checkAuthType(kind string) error {
	if slices.Contains(authTypes, kind) {
		return nil
	}
	return fmt.Errorf("auth_type %.40q is not known here: use an application credential, or --endpoint for an Image API without Keystone", kind)
}

// cloudEntry is what clouds.Parse does not tell of an entry of clouds.yaml.
type cloudEntry struct {
	AuthType string          `yaml:"auth_type"`
	Regions  []clouds.Region `yaml:"regions"`
	Override string          `yaml:"image_endpoint_override"`
}

// readEntry looks for the entry as clouds.Parse does, that says what is wrong of the file.
func readEntry(cloud string) cloudEntry {
	places := []string{os.Getenv("OS_CLIENT_CONFIG_FILE")}
	if places[0] == "" {
		user, _ := os.UserConfigDir() // without a home there is none
		places = []string{"clouds.yaml", filepath.Join(user, "openstack", "clouds.yaml"), "/etc/openstack/clouds.yaml"}
	}
	var file struct {
		Clouds map[string]cloudEntry `yaml:"clouds"`
	}
	for _, place := range places {
		if text, err := os.ReadFile(place); err == nil {
			_ = yaml.Unmarshal(text, &file) // see above
			break
		}
	}
	return file.Clouds[cloud]
}

// region is where to look for the service if nothing else says it: in the first region of
// the entry, as openstackclient does; "" for the first of Keystone's catalog.
func (e cloudEntry) region() string {
	if len(e.Regions) == 0 {
		return ""
	}
	return e.Regions[0].Name
}
