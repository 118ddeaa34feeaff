package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// Sources are where values come from; each overrides the one before it.
type Sources struct {
	Host   Host
	File   string                   // path of the YAML file; "" for none
	Getenv func(name string) string // nil for no environment
	Flags  *Flags                   // nil for none
}

// Origins says where each option's value came from: "default", "FILE:LINE", the
// name of a variable, or the flag.
type Origins map[string]string

const originDefault = "default"

// Problem is a configuration that cannot be used: where it stands and what to
// write instead.
type Problem struct {
	Origin string // "--memory", "IMAGEFS_MEMORY", "FILE:LINE: memory"
	Reason error
}

// Error is one line that says what to do.
func (p *Problem) Error() string { return p.Origin + ": " + p.Reason.Error() }

// Unwrap returns the reason.
func (p *Problem) Unwrap() error { return p.Reason }

// Load resolves the configuration. Every error is a *Problem.
func Load(s Sources) (Config, Origins, error) {
	c := Defaults(s.Host)
	options := Options()
	origins := make(Origins, len(options))
	for _, o := range options {
		origins[o.Name] = originDefault
	}
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}

	file, err := readFile(s.File, options)
	if err != nil {
		return Config{}, nil, err
	}
	for _, o := range options {
		if given, ok := file[o.Name]; ok {
			if err := o.set(&c, given.values); err != nil {
				return Config{}, nil, &Problem{Origin: given.origin + ": " + o.Name, Reason: err}
			}
			origins[o.Name] = given.origin
		}
		if value := s.Getenv(o.Env()); value != "" {
			if err := o.set(&c, envValues(o, value)); err != nil {
				return Config{}, nil, &Problem{Origin: o.Env(), Reason: err}
			}
			origins[o.Name] = o.Env()
		}
		if values := s.Flags.values(o.Name); len(values) > 0 {
			if err := o.set(&c, values); err != nil {
				return Config{}, nil, &Problem{Origin: "--" + o.Name, Reason: err}
			}
			origins[o.Name] = "--" + o.Name
		}
	}
	openstackDefaults(&c, origins, s.Getenv)
	if err := validate(c, origins); err != nil {
		return Config{}, nil, err
	}
	return c, origins, nil
}

// LogLevel is the level of the log that the file at path gives, for a mount that goes on;
// the default for path "" or where the file gives none. Keys that Load would refuse are
// refused; the other values are not looked at. Every error is a *Problem.
func LogLevel(path string) (slog.Level, error) {
	file, err := readFile(path, Options())
	if err != nil {
		return 0, err
	}
	c := Defaults(Host{})
	if given, ok := file["log-level"]; ok {
		if err := setLogLevel(&c, given.values); err != nil {
			return 0, &Problem{Origin: given.origin + ": log-level", Reason: err}
		}
	}
	return c.LogLevel, nil
}

// envValues splits a list variable at its commas; a flag or the file can hold
// values that contain one.
func envValues(o Option, value string) []string {
	if !o.List {
		return []string{value}
	}
	return strings.Split(value, ",")
}

// openstackDefaults takes what the other OpenStack tools take from the
// environment, where nothing of ours says otherwise.
func openstackDefaults(c *Config, origins Origins, getenv func(string) string) {
	if c.Endpoint == "" {
		if cloud := getenv("OS_CLOUD"); c.Cloud == "" && cloud != "" {
			c.Cloud = cloud
			origins["cloud"] = "OS_CLOUD"
		}
		return
	}
	if token := getenv("OS_TOKEN"); c.Token == "" && token != "" {
		c.Token = Secret(token)
		origins["token"] = "OS_TOKEN"
	}
}

// validate refuses options that contradict each other.
func validate(c Config, origins Origins) error {
	switch {
	case c.Cloud != "" && c.Endpoint != "":
		return &Problem{Origin: origins["endpoint"], Reason: fmt.Errorf(
			"an endpoint and a cloud (from %s) are both given: give one of them", origins["cloud"])}
	case c.Token != "" && c.Endpoint == "":
		return &Problem{Origin: origins["token"], Reason: errors.New(
			"a token needs --endpoint URL: name the Image API, or put the token into clouds.yaml")}
	case c.Filter.Community && c.Filter.Visibility != "" && c.Filter.Visibility != image.VisibilityCommunity:
		return &Problem{Origin: origins["community"], Reason: fmt.Errorf(
			"community images are not %s (from %s): give one of them", c.Filter.Visibility, origins["visibility"])}
	case c.ReadOnly && c.WriteAllProjects:
		return &Problem{Origin: origins["write-all-projects"], Reason: fmt.Errorf(
			"a read-only mount (from %s) changes no project's images: give one of them", origins["read-only"])}
	case c.Pprof && c.Metrics == "":
		return &Problem{Origin: origins["pprof"], Reason: errors.New(
			"profiles are served beside the metrics: say where with --metrics ADDRESS")}
	case c.CacheSize > 0 && !filepath.IsAbs(c.CacheDir):
		return &Problem{Origin: "--cache-dir", Reason: errors.New(
			"your home directory is not known: set HOME, or name a directory with --cache-dir")}
	case !filepath.IsAbs(c.StagingDir):
		return &Problem{Origin: "--staging-dir", Reason: errors.New(
			"your home directory is not known: set HOME, or name a directory with --staging-dir")}
	}
	return nil
}
