package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
)

func glance() row {
	return row{
		name: "glance", title: "Cold sequential read of a real Glance",
		about: `Debian's Glance and Keystone (eventlet, two workers, file store) on loopback. They and the readers share the
cores, so this shows how much of them each way of reading needs.`,
		metrics: []metric{speed}, fills: 2,
		targets: []target{
			{text: "0.5 of `curl`", of: imagefs, over: []string{"curl"}, metric: speed, least: 0.5},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newGlance(ctx)
			if err != nil {
				return nil, err
			}
			p, err := l.publish(ctx, s, "glance.raw", "raw", l.options.size, noise(6, l.options.size))
			if err != nil {
				return nil, err
			}
			return []contender{l.onImagefs(s, l.reading(p)), l.curl(s, p), l.onBareReader(s, p), l.onBareReaderAlone(s, p), l.onImagefs(s, l.reading(p), "--streams", "4")}, nil
		},
	}
}

var setting = regexp.MustCompile(`(?m)^(\w+)=http://(\S+)$`)

// newGlance brings a Glance up, for the rest of the scope. It has no static server.
func (l *lab) newGlance(ctx context.Context) (*site, error) {
	// PostgreSQL, another user, must pass through to its files.
	if err := os.Chmod(l.dir, 0o711); err != nil {
		return nil, err
	}
	state := filepath.Join(l.dir, "glance")
	l.atEnd(func() error {
		_, err := l.run(context.WithoutCancel(ctx), "test/openstack/down", "--purge", state)
		return err
	})
	if _, err := l.run(ctx, "test/openstack/up", state); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(state, "env"))
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, found := range setting.FindAllStringSubmatch(string(text), -1) {
		settings[found[1]] = found[2]
	}
	s := &site{api: settings["GLANCE_URL"], files: filepath.Join(state, "files"), dir: state, data: "images"}
	if s.token, err = issueToken(ctx, "http://"+settings["KEYSTONE_URL"]); err != nil {
		return nil, err
	}
	return s, os.Mkdir(s.files, 0o700)
}

// issueToken asks Keystone for a token of the project demo.
func issueToken(ctx context.Context, keystone string) (string, error) {
	type object = map[string]any
	domain := object{"name": "Default"}
	ask, err := json.Marshal(object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": "demo", "password": "demopw", "domain": domain}}},
		"scope":    object{"project": object{"name": "demo", "domain": domain}},
	}})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, keystone+"/auth/tokens", bytes.NewReader(ask))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() // only read
	token := response.Header.Get("X-Subject-Token")
	if response.StatusCode != http.StatusCreated || token == "" {
		return "", fmt.Errorf("ask %s for a token: %s", keystone, response.Status)
	}
	return token, nil
}
