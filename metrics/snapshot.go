package metrics

import "time"

// Snapshot is what one mount is doing at one moment. Its JSON keys are a promise
// to scripts: keys are added, never renamed. Nothing in it needs the network.
type Snapshot struct {
	Mountpoint string    `json:"mountpoint"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Uptime     float64   `json:"uptime_seconds"`
	State      string    `json:"state"` // StateMounting, StateMounted or StateEnding
	LogFile    string    `json:"log_file,omitempty"`
	Metrics    string    `json:"metrics_url,omitempty"` // where they are served; "" where they are not

	Service     Service       `json:"service"`
	Requests    RequestCounts `json:"requests"`
	Logged      Logged        `json:"log"`
	Options     Options       `json:"options"`
	Memory      Memory        `json:"memory"`
	Goroutines  int           `json:"goroutines"` // of the daemon: they grow with what is under way, and with nothing else
	Listing     Listing       `json:"listing"`
	Cache       Cache         `json:"cache"`
	Readers     Readers       `json:"readers"`
	Passthrough Passthrough   `json:"passthrough"`
	Handles     int           `json:"open_handles"`
	Commits     Commits       `json:"commits"`
	Uploads     []Upload      `json:"uploads"`
	Transfers   []Transfer    `json:"transfers"`
	Writing     []Writing     `json:"writing"`
	Waiting     []Waiting     `json:"waiting"`
	Drafts      []Draft       `json:"kept_drafts"`
}

// The states of a mount.
const (
	// StateMounting: the mount does not answer yet.
	StateMounting = "mounting"
	StateMounted  = "mounted"
	// StateEnding: the kernel's side is gone, or going, and uploads finish.
	StateEnding = "ending"
)

// Service is the Image service behind the mount.
type Service struct {
	URL     string `json:"url"`
	Project string `json:"project,omitempty"` // id; empty without Keystone
	User    string `json:"user,omitempty"`
	// Insecure: its certificate is not verified.
	Insecure bool `json:"insecure,omitempty"`
	// Trouble is what holds requests up; none as a rule.
	Trouble []Trouble `json:"trouble"`
}

// RequestCounts are the requests to the services since the mount.
type RequestCounts struct {
	Ended   []RequestCount `json:"ended"`
	Retried []RetryCount   `json:"retried"`
}

// RequestCount are the requests of one kind with one outcome.
type RequestCount struct {
	Kind  string `json:"kind"`
	Code  string `json:"code"` // the status of the answer, or why there was none
	Count int64  `json:"count"`
}

// RetryCount is how often requests of a kind were made again.
type RetryCount struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// Logged is what the log has of warnings and errors since the mount.
type Logged struct {
	Warnings int64     `json:"warnings"`
	Errors   int64     `json:"errors"`
	Last     []LogLine `json:"last"` // a few, the oldest first
}

// LogLine is a line of the log, what it is about, and the error in it.
type LogLine struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"` // warn or error
	Message string    `json:"message"`
	Name    string    `json:"name,omitempty"`  // entry of the file or name of the image; else its id
	Error   string    `json:"error,omitempty"` // or reason
}

// Trouble is a service that fails, or has asked for a pause.
type Trouble struct {
	Service string    `json:"service"` // "image" or "identity"
	Since   time.Time `json:"since"`
	Error   string    `json:"error"`    // the last
	Next    time.Time `json:"next_try"` // before that, the service is not asked
	Away    bool      `json:"away"`     // requests fail with that try; else they wait
	// Pause: it has not failed but asked for a pause; what cannot wait for its end fails at once.
	Pause bool `json:"pause"`
}

// Options are the mount options in force.
type Options struct {
	ReadOnly         bool    `json:"read_only"`
	AllowOther       bool    `json:"allow_other"`
	WriteAllProjects bool    `json:"write_all_projects"`
	UID              uint32  `json:"uid"`
	GID              uint32  `json:"gid"`
	Memory           int64   `json:"memory_bytes"`
	CacheSize        int64   `json:"cache_size_bytes"`
	Streams          int     `json:"streams"`
	ListTTL          float64 `json:"list_ttl_seconds"`
	StagingDir       string  `json:"staging_dir"`
	Writeback        bool    `json:"writeback"`
	// Filter is which images are shown, as flags; none for the usual ones.
	Filter      []string `json:"filter"`
	StopTimeout float64  `json:"stop_timeout_seconds"`
	// StallTimeout is how long a request may make no progress.
	StallTimeout float64 `json:"stall_timeout_seconds"`
}

// Memory is what the daemon has of it, in bytes. The kernel's memory for entries is not in it.
type Memory struct {
	Resident int64 `json:"resident_bytes"`  // of it all, the cache's blocks included
	HeapLive int64 `json:"heap_live_bytes"` // what the last garbage collection left of Go's heap
}

// Listing is the state of the directory.
type Listing struct {
	Images  int      `json:"images"`
	Age     *float64 `json:"age_seconds"`       // null until there was one
	Whole   *Whole   `json:"whole"`             // the last reading of all of it; null until there was one
	Warning string   `json:"warning,omitempty"` // why the last refresh failed
}

// Whole is a reading of the whole listing: after it, deletions show.
type Whole struct {
	Age  float64 `json:"age_seconds"` // since it began
	Took float64 `json:"took_seconds"`
}

// Cache is the block cache.
type Cache struct {
	Bytes   int64  `json:"bytes"`
	Limit   int64  `json:"limit_bytes"`
	Blocks  int64  `json:"blocks"`
	Hits    int64  `json:"hits"`
	Misses  int64  `json:"misses"`
	Fetched int64  `json:"fetched_bytes"` // taken from the service
	Read    Read   `json:"read"`
	Ahead   int64  `json:"ahead_bytes"`       // of those fetched, what came before a read wanted it
	Wasted  int64  `json:"wasted_bytes"`      // of those fetched, what left memory unread or came when nobody wanted it
	Evicted int64  `json:"evicted_blocks"`    // left memory for others
	Disk    *Disk  `json:"disk"`              // null where there is no cache on disk
	Warning string `json:"warning,omitempty"` // why there is none, where it was asked for
}

// Read are the bytes that readers got, by where these were, since the mount.
type Read struct {
	Memory  int64 `json:"memory_bytes"`
	Disk    int64 `json:"disk_bytes"`
	Service int64 `json:"service_bytes"` // they were waited for
}

// Readers are those that read images through the daemon.
type Readers struct {
	Open    int   `json:"open"`
	Windows int   `json:"windows"`      // sequential runs that are fetched ahead of
	Ahead   int64 `json:"window_bytes"` // how far, all of them together
	Widest  int64 `json:"widest_bytes"` // how far ahead of one
	Spools  int   `json:"spools"`       // images read as whole streams, for their store serves no ranges
}

// Commits are the ends of commits since the mount.
type Commits struct {
	Published int64 `json:"published"`
	Failed    int64 `json:"failed"`     // each try of one that is tried again
	Sent      int64 `json:"sent_bytes"` // by all of them, and those under way
}

// Disk is the cache on disk. The counts are since the mount.
type Disk struct {
	Dir        string `json:"dir"`
	Bytes      int64  `json:"bytes"`
	Limit      int64  `json:"limit_bytes"`
	Images     int    `json:"images"`
	Hits       int64  `json:"hits"`
	Written    int64  `json:"written_bytes"`
	Evicted    int64  `json:"evicted_blocks"`
	Damaged    int64  `json:"damaged_blocks"`
	Verified   int64  `json:"verified_images"`   // had their hash
	Mismatched int64  `json:"mismatched_images"` // had not
	Verifying  int    `json:"verifying_images"`  // wait for it, or are at it
}

// Passthrough is how far the kernel reads by itself what lies whole on disk.
type Passthrough struct {
	On      bool   `json:"on"`
	Reason  string `json:"reason,omitempty"` // why it is not
	Handles int    `json:"open_handles"`     // those of all that the kernel reads
}

// Phases are those of a commit, in their order.
func Phases() []string {
	return []string{"waiting", "preparing", phaseUploading, "checking", "publishing"}
}

// Upload is one commit under way.
type Upload struct {
	Name    string  `json:"name"`
	Draft   string  `json:"draft"`
	Path    string  `json:"path"`  // where its bytes are
	Phase   string  `json:"phase"` // one of Phases
	Sent    int64   `json:"sent_bytes"`
	Read    int64   `json:"read_bytes"` // beside, to compare hashes
	Size    int64   `json:"size_bytes"`
	Seconds float64 `json:"seconds"`
	Behind  bool    `json:"behind"` // no close waits for it
}

// Writing is a file that is open for writing: its upload begins when it is closed.
type Writing struct {
	Name  string `json:"name"` // of the file
	Draft string `json:"draft"`
	Path  string `json:"path"` // where its bytes are
	Size  int64  `json:"size_bytes"`
}

// Waiting is a file whose close was answered and whose upload has not ended. While
// it is tried, it is one of the uploads, too.
type Waiting struct {
	Name  string     `json:"name"` // of the file
	Draft string     `json:"draft"`
	Path  string     `json:"path"` // where its bytes are
	Size  int64      `json:"size_bytes"`
	Since time.Time  `json:"since"`
	Tries int        `json:"tries"`           // begun
	Error string     `json:"error,omitempty"` // of the last one that failed
	Next  *time.Time `json:"next_try"`        // null while it is tried, or waits for its turn
}

// Draft is a file that an earlier run, or a failed commit, left in staging.
type Draft struct {
	ID     string `json:"draft"`
	Name   string `json:"name"`
	Path   string `json:"path"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Size   int64  `json:"size_bytes"`
}
