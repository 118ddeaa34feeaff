package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

// Every setter gets the values of one source and replaces what an earlier source
// said. All but lists get exactly one value. Its error ends a sentence that
// begins with where the value came from.

func text(field func(*Config) *string) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		if strings.ContainsFunc(v[0], isControl) {
			return fmt.Errorf("%q has a control character: write plain text", v[0])
		}
		*field(c) = v[0]
		return nil
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func toggle(field func(*Config) *bool) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		on, err := strconv.ParseBool(v[0])
		if err != nil {
			return fmt.Errorf("%q is neither true nor false: write one of them", v[0])
		}
		*field(c) = on
		return nil
	}
}

func choice(field func(*Config) *string, allowed ...string) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		if !slices.Contains(allowed, v[0]) {
			return fmt.Errorf("%q is unknown: use %s", v[0], oneOf(allowed))
		}
		*field(c) = v[0]
		return nil
	}
}

func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func setEndpoint(c *Config, v []string) error {
	if v[0] == "" { // takes back what an earlier source said
		c.Endpoint = ""
		return nil
	}
	u, err := url.Parse(v[0])
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is not a URL of an Image API: write https://HOST[:PORT][/PATH]", redact(v[0]))
	case u.User != nil:
		return errors.New("the URL carries a password: leave it out and give a token with $OS_TOKEN")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has a query or a fragment: write only https://HOST[:PORT][/PATH]", v[0])
	}
	c.Endpoint = strings.TrimRight(v[0], "/")
	return nil
}

// redact cuts what could be a password before an @ out of a text that is not a
// proper URL.
func redact(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return "…" + s[at:]
	}
	return s
}

func setToken(c *Config, v []string) error {
	if strings.ContainsFunc(v[0], func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("the token has a space or a character that is not ASCII: give it as the service issued it")
	}
	c.Token = Secret(v[0])
	return nil
}

func setStreams(c *Config, v []string) error {
	n, err := strconv.Atoi(v[0])
	if err != nil || n < 1 || n > MaxStreams {
		return fmt.Errorf("%q is not a number of requests: use 1 to %d", v[0], MaxStreams)
	}
	c.Streams = n
	return nil
}

func setListTTL(c *Config, v []string) error {
	d, err := time.ParseDuration(v[0])
	if err != nil || d < MinListTTL || d > MaxListTTL {
		return fmt.Errorf("%q is not a duration from 1ms to 24h: write for example 30s or 5m", v[0])
	}
	c.ListTTL = d
	return nil
}

func setTrash(c *Config, v []string) error {
	d, err := ParsePeriod(v[0])
	switch {
	case err != nil:
		return err
	case d != 0 && (d < MinTrash || d > MaxTrash):
		return fmt.Errorf("%q is neither 0 nor from 1s to 3650d: write for example 7d", v[0])
	}
	c.Trash = d
	return nil
}

func setAbandonedTTL(c *Config, v []string) error {
	d, err := ParsePeriod(v[0])
	if err != nil {
		return err
	}
	c.AbandonedTTL = d
	return nil
}

func setStallTimeout(c *Config, v []string) error {
	d, err := time.ParseDuration(v[0])
	if err != nil || d < MinStallTimeout || d > MaxStallTimeout {
		return fmt.Errorf("%q is not a duration from 2s to 1h: write for example 60s or 5m", v[0])
	}
	c.StallTimeout = d
	return nil
}

func setStopTimeout(c *Config, v []string) error {
	d, err := time.ParseDuration(v[0])
	if err != nil || d < 0 || d > MaxStopTimeout {
		return fmt.Errorf("%q is not a duration from 0s to 720h: write for example 30s or 2h", v[0])
	}
	c.StopTimeout = d
	return nil
}

func setID(field func(*Config) *uint32) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		n, err := strconv.ParseUint(v[0], 10, 32)
		if err != nil || n == 1<<32-1 { // the last number means "nobody" to the kernel
			return fmt.Errorf("%q is not a numeric id: ask `id NAME` for it", v[0])
		}
		*field(c) = uint32(n)
		return nil
	}
}

func setMemory(c *Config, v []string) error {
	n, err := ParseSize(v[0])
	if err != nil {
		return err
	}
	if n < MinMemory {
		return fmt.Errorf("%q is too little to work with: use %s or more", v[0], FormatSize(MinMemory))
	}
	c.Memory = n
	return nil
}

func setCacheSize(c *Config, v []string) error {
	n, err := ParseSize(v[0])
	if err != nil {
		return err
	}
	c.CacheSize = n
	return nil
}

func setPath(field func(*Config) *string) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		switch {
		case v[0] == "":
			return errors.New("the path is empty: name a directory")
		case strings.HasPrefix(v[0], "~"):
			return fmt.Errorf("%q: only a shell expands ~, write the whole path", v[0])
		case strings.ContainsRune(v[0], 0):
			return errors.New("the path has a NUL byte: name a directory")
		case !utf8.ValidString(v[0]): // JSON, by which a daemon is told, has no other text
			return errors.New("the path is not UTF-8: name another directory")
		}
		abs, err := filepath.Abs(v[0])
		if err != nil {
			return fmt.Errorf("%q: %w: write an absolute path", v[0], err)
		}
		*field(c) = abs
		return nil
	}
}

// setMetrics makes an address without a host one of this machine only.
func setMetrics(c *Config, v []string) error {
	if v[0] == "" { // takes back what an earlier source said
		c.Metrics = ""
		return nil
	}
	if strings.ContainsFunc(v[0], isControl) {
		return fmt.Errorf("%q has a control character: write for example 127.0.0.1:9092", v[0])
	}
	host, port, err := net.SplitHostPort(v[0])
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT: write for example 127.0.0.1:9092", v[0])
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535: write for example 127.0.0.1:9092", v[0])
	}
	c.Metrics = net.JoinHostPort(cmp.Or(host, "127.0.0.1"), strconv.FormatUint(n, 10))
	return nil
}

func setLogLevel(c *Config, v []string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(v[0])]
	if !ok {
		return fmt.Errorf("%q is unknown: use debug, info, warn or error", v[0])
	}
	c.LogLevel = level
	return nil
}

func setVisibility(c *Config, v []string) error { return oneVisibility(&c.NewVisibility, v[0]) }

// oneVisibility sets a visibility, or takes back what an earlier source said.
func oneVisibility(field *image.Visibility, word string) error {
	if word != "" && !slices.Contains(visibilities(), word) {
		return fmt.Errorf("%q is unknown: use %s", word, oneOf(visibilities()))
	}
	*field = image.Visibility(word)
	return nil
}

// maxWord, in characters, is the longest property name or tag that the Image
// API takes.
const maxWord = 255

func setProperties(c *Config, v []string) error {
	properties := make(map[string]string, len(v))
	for _, pair := range v {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || key == "":
			return fmt.Errorf("%q is not KEY=VALUE: write for example os_distro=debian", pair)
		case len([]rune(key)) > maxWord:
			return fmt.Errorf("the key %.20q… is longer than %d characters: shorten it", key, maxWord)
		case image.Reserved(key):
			return fmt.Errorf("%q is reserved, or a field of each image: choose another key", key)
		}
		if _, twice := properties[key]; twice {
			return fmt.Errorf("%q is given twice: give it once", key)
		}
		properties[key] = value
	}
	c.NewProperties = properties
	return nil
}

// pairs is what setProperties takes.
func pairs(properties map[string]string) []string {
	list := make([]string, 0, len(properties))
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		list = append(list, key+"="+properties[key])
	}
	return list
}

func setTags(c *Config, v []string) (err error) {
	c.NewTags, err = tagsOf(v)
	return err
}

// tagsOf checks tags and returns each once.
func tagsOf(v []string) ([]string, error) {
	tags := make([]string, 0, len(v))
	for _, tag := range v {
		if tag == "" || len([]rune(tag)) > maxWord {
			return nil, fmt.Errorf("%.20q is not a tag: use 1 to %d characters", tag, maxWord)
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}
