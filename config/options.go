package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// Option is one thing that can be configured: --name on the command line, name
// in the file, IMAGEFS_NAME in the environment.
type Option struct {
	Name  string // "staging-dir"
	Arg   string // what the help calls the value; "" for a switch
	Usage string // one line of help
	List  bool   // may be given several times
	Pairs bool   // a list of KEY=VALUE: the file may give a mapping
	// Secret: it has no flag, for other users can see a command line.
	Secret bool

	set func(c *Config, values []string) error // replaces what an earlier source said
	get func(c Config) string                  // the value in force, as it would be written; nil for a list
	all func(c Config) []string                // the values of a list
}

// value is what is in force, as a variable would hold it.
func (o Option) value(c Config) string {
	if o.List {
		return strings.Join(o.all(c), ",")
	}
	return o.get(c)
}

// Env is the option's environment variable.
func (o Option) Env() string {
	return "IMAGEFS_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// Options returns every option, in the order of the help.
func Options() []Option {
	return slices.Concat(serviceOptions(), mountOptions(), filterOptions(), writeOptions())
}

func serviceOptions() []Option {
	return []Option{
		{Name: "cloud", Arg: "NAME", Usage: "entry of clouds.yaml (default $OS_CLOUD, else the OS_* variables)",
			set: text(func(c *Config) *string { return &c.Cloud }), get: func(c Config) string { return c.Cloud }},
		{Name: "endpoint", Arg: "URL", Usage: "the Image API itself, without Keystone",
			set: setEndpoint, get: func(c Config) string { return c.Endpoint }},
		{Name: "token", Arg: "TOKEN", Usage: "token that goes with --endpoint (default $OS_TOKEN)", Secret: true,
			set: setToken, get: func(c Config) string { return c.Token.String() }},
		{Name: "insecure", Usage: "take any certificate of the service: whoever answers for it gets your credentials",
			set: toggle(func(c *Config) *bool { return &c.Insecure }), get: func(c Config) string { return strconv.FormatBool(c.Insecure) }},
		{Name: "streams", Arg: "N", Usage: "most requests for data at once",
			set: setStreams, get: func(c Config) string { return strconv.Itoa(c.Streams) }},
		{Name: "list-ttl", Arg: "DURATION", Usage: "how old a listing may get before it is made anew (ls may show it once more)",
			set: setListTTL, get: func(c Config) string { return c.ListTTL.String() }},
		{Name: "stall-timeout", Arg: "DURATION", Usage: "how long a request may make no progress before it fails",
			set: setStallTimeout, get: func(c Config) string { return c.StallTimeout.String() }},
	}
}

func mountOptions() []Option {
	return []Option{
		{Name: "foreground", Usage: "stay attached, log to stderr, unmount on SIGINT and SIGTERM",
			set: toggle(func(c *Config) *bool { return &c.Foreground }), get: func(c Config) string { return strconv.FormatBool(c.Foreground) }},
		{Name: "read-only", Usage: "refuse every change",
			set: toggle(func(c *Config) *bool { return &c.ReadOnly }), get: func(c Config) string { return strconv.FormatBool(c.ReadOnly) }},
		{Name: "allow-other", Usage: "let other users in (needs user_allow_other in /etc/fuse.conf, unless root mounts)",
			set: toggle(func(c *Config) *bool { return &c.AllowOther }), get: func(c Config) string { return strconv.FormatBool(c.AllowOther) }},
		{Name: "uid", Arg: "N", Usage: "numeric owner of the files (default your own)",
			set: setID(func(c *Config) *uint32 { return &c.UID }), get: func(c Config) string { return strconv.FormatUint(uint64(c.UID), 10) }},
		{Name: "gid", Arg: "N", Usage: "numeric group of the files (default your own)",
			set: setID(func(c *Config) *uint32 { return &c.GID }), get: func(c Config) string { return strconv.FormatUint(uint64(c.GID), 10) }},
		{Name: "memory", Arg: "SIZE", Usage: `size of the cache in memory ("256MiB", "2GiB")`,
			set: setMemory, get: func(c Config) string { return FormatSize(c.Memory) }},
		{Name: "cache-dir", Arg: "DIR", Usage: "where the cache on disk lives, apart for each service",
			set: setPath(func(c *Config) *string { return &c.CacheDir }), get: func(c Config) string { return c.CacheDir }},
		{Name: "cache-size", Arg: "SIZE", Usage: `size of the cache on disk ("20GiB"); 0 for none`,
			set: setCacheSize, get: func(c Config) string { return FormatSize(c.CacheSize) }},
		{Name: "staging-dir", Arg: "DIR", Usage: "where files being written live until the service has accepted them",
			set: setPath(func(c *Config) *string { return &c.StagingDir }), get: func(c Config) string { return c.StagingDir }},
		{Name: "abandoned-ttl", Arg: "DURATION", Usage: "how long the bytes of killed writers are kept in staging (\"7d\"); 0 for ever",
			set: setAbandonedTTL, get: func(c Config) string { return FormatPeriod(c.AbandonedTTL) }},
		{Name: "stop-timeout", Arg: "DURATION", Usage: "how long the end of the mount waits for uploads, which the next mount then goes on with",
			set: setStopTimeout, get: func(c Config) string { return c.StopTimeout.String() }},
		{Name: "metrics", Arg: "ADDRESS", Usage: "serve metrics and /healthz there (\"127.0.0.1:9092\"), to whoever reaches it",
			set: setMetrics, get: func(c Config) string { return c.Metrics }},
		{Name: "pprof", Usage: "serve profiles of the daemon beside the metrics",
			set: toggle(func(c *Config) *bool { return &c.Pprof }), get: func(c Config) string { return strconv.FormatBool(c.Pprof) }},
		{Name: "log-level", Arg: "LEVEL", Usage: "debug, info, warn or error",
			set: setLogLevel, get: func(c Config) string { return strings.ToLower(c.LogLevel.String()) }},
		{Name: "log-format", Arg: "FORMAT", Usage: "text or json",
			set: choice(func(c *Config) *string { return &c.LogFormat }, LogText, LogJSON), get: func(c Config) string { return c.LogFormat }},
	}
}

func writeOptions() []Option {
	return []Option{
		{Name: "writeback", Usage: "close returns when the bytes are on the local disk; the upload follows, and is retried until it succeeds",
			set: toggle(func(c *Config) *bool { return &c.Writeback }), get: func(c Config) string { return strconv.FormatBool(c.Writeback) }},
		{Name: "new-visibility", Arg: "VISIBILITY", Usage: "visibility of every image created: private, shared, community or public",
			set: setVisibility, get: func(c Config) string { return string(c.NewVisibility) }},
		{Name: "new-property", Arg: "KEY=VALUE", Usage: "property of every image created (repeat for more)", List: true, Pairs: true,
			set: setProperties, all: func(c Config) []string { return pairs(c.NewProperties) }},
		{Name: "new-tag", Arg: "TAG", Usage: "tag of every image created (repeat for more)", List: true,
			set: setTags, all: func(c Config) []string { return c.NewTags }},
		{Name: "store", Arg: "NAME", Usage: "store that uploads go to (default the service's own)",
			set: text(func(c *Config) *string { return &c.Store }), get: func(c Config) string { return c.Store }},
		{Name: "trash", Arg: "DURATION", Usage: `hide removed and replaced images for so long before they are deleted ("7d"); 0 deletes at once`,
			set: setTrash, get: func(c Config) string { return FormatPeriod(c.Trash) }},
		{Name: "write-all-projects", Usage: "allow changing images of other projects (an admin sees them all)",
			set: toggle(func(c *Config) *bool { return &c.WriteAllProjects }), get: func(c Config) string { return strconv.FormatBool(c.WriteAllProjects) }},
	}
}

// visibilities are the values of --visibility and --new-visibility.
func visibilities() []string {
	return []string{
		string(image.VisibilityPrivate), string(image.VisibilityShared),
		string(image.VisibilityCommunity), string(image.VisibilityPublic),
	}
}
