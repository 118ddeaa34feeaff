package client

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

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

// authType is the auth_type of an entry of clouds.yaml, which is looked for as
// clouds.Parse does, that says what is wrong of the file.
func authType(cloud string) string {
	places := []string{os.Getenv("OS_CLIENT_CONFIG_FILE")}
	if places[0] == "" {
		user, _ := os.UserConfigDir() // without a home there is none
		places = []string{"clouds.yaml", filepath.Join(user, "openstack", "clouds.yaml"), "/etc/openstack/clouds.yaml"}
	}
	var file struct {
		Clouds map[string]struct {
			Type string `yaml:"auth_type"`
		} `yaml:"clouds"`
	}
	for _, place := range places {
		if text, err := os.ReadFile(place); err == nil {
			_ = yaml.Unmarshal(text, &file) // see above
			break
		}
	}
	return file.Clouds[cloud].Type
}
