package config

import (
	"log/slog"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Config is everything a mount was told, resolved and validated by Load. It is a
// value; its JSON form carries it to the daemon and contains the token.
type Config struct {
	// Cloud is the entry of clouds.yaml; "" leaves the choice to the OS_*
	// variables.
	Cloud string
	// Endpoint is the URL of the Image API itself; "" asks Keystone.
	Endpoint string
	// Token goes with Endpoint; "" sends none.
	Token Secret
	// Insecure takes any certificate. A clouds.yaml and OS_INSECURE may say so, too.
	Insecure bool

	Filter image.Filter // which images are shown

	Foreground       bool // stay attached, log to stderr
	ReadOnly         bool
	AllowOther       bool
	WriteAllProjects bool

	UID, GID uint32 // who owns the files

	Memory     int64  // bytes of the memory cache
	Streams    int    // most data requests at once
	CacheDir   string // absolute path of the directory where cached blocks live, below it one for each service
	CacheSize  int64  // most bytes of them; 0 keeps none
	StagingDir string // absolute path of the directory where drafts live

	NewVisibility image.Visibility  // "" is the service's default
	NewProperties map[string]string // given to every image created; nil for none
	NewTags       []string
	Store         string // store that uploads name; "" is the service's default
	Writeback     bool   // answer a close when its bytes are on the local disk

	StallTimeout time.Duration // how long a request may make no progress
	StopTimeout  time.Duration // how long the end of a mount waits for uploads; see DefaultStopTimeout

	// Trash is how long removed and replaced images are kept hidden; 0 deletes them
	// at once.
	Trash time.Duration

	ListTTL time.Duration // how old a listing may be
	// AbandonedTTL is how long the drafts of killed writers are kept; 0 for ever.
	AbandonedTTL time.Duration

	// Metrics is the HOST:PORT where metrics are served; "" serves none. Pprof serves
	// profiles of the daemon there, too.
	Metrics string
	Pprof   bool

	LogLevel  slog.Level
	LogFormat string // LogText or LogJSON
}

// The formats of the log.
const (
	LogText = "text"
	LogJSON = "json"
)

// Secret is a text that never shows in a log or in a formatted value. Only its
// JSON form is plain: it carries the token to the daemon.
type Secret string

const hidden = "(hidden)"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }
