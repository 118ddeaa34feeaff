package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// password is every cloud's, secret the token where there is no Keystone.
const (
	password = "the-password"
	secret   = "secret-of-the-mount"
)

// cloudsFile is a clouds.yaml for all daemons, each of which reads its own entry when it
// begins.
type cloudsFile struct {
	mu      sync.Mutex // guards the field below, and the file
	entries strings.Builder
}

var clouds cloudsFile

// add makes an entry.
func (c *cloudsFile) add(name, authURL string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.entries, "  %q:\n    auth: {auth_url: %q, username: user, password: %q, project_name: %q, user_domain_id: default, project_domain_id: default}\n    region_name: here\n",
		name, authURL, password, project)
	// Others read it just now.
	path := filepath.Join(root, "clouds.yaml")
	if err := os.WriteFile(path+".new", []byte("clouds:\n"+c.entries.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
