package metrics

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ptr[T any](v T) *T { return &v }

func busy() Snapshot {
	return Snapshot{
		Mountpoint: "/mnt/images", PID: 4711, Version: "1.2.3", State: StateMounted,
		Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Uptime: 93784, LogFile: "/var/log/imagefs/mnt-images.log", Metrics: "http://127.0.0.1:9092/metrics",
		Service: Service{URL: "https://glance.example/image", Project: "8f2b", User: "demo", Insecure: true, Trouble: []Trouble{
			{Service: "image", Since: time.Date(2026, 3, 5, 7, 8, 31, 0, time.UTC), Error: "get image x: unreachable:\nconnection refused", Next: time.Date(2026, 3, 5, 7, 9, 15, 0, time.UTC), Away: true},
			{Service: "identity", Since: time.Date(2026, 3, 5, 7, 9, 9, 0, time.UTC), Error: "authenticate: unreachable", Next: time.Date(2026, 3, 5, 7, 9, 10, 0, time.UTC)},
			{Service: "image", Since: time.Date(2026, 3, 5, 7, 9, 11, 0, time.UTC), Error: "get image y: unavailable:\nanswer 429", Next: time.Date(2026, 3, 5, 7, 9, 51, 0, time.UTC), Pause: true},
		}},
		Options: Options{AllowOther: true, Writeback: true, StopTimeout: 60, StallTimeout: 60, WriteAllProjects: true, UID: 0, GID: 0, Memory: 256 << 20, Streams: 16, ListTTL: 30, StagingDir: "/var/lib/imagefs/staging",
			Filter: []string{"--tag=ready", "--name=a\x1b*"}},
		Memory: Memory{Resident: 412 << 20, HeapLive: 96 << 20}, Goroutines: 240,
		Listing: Listing{Images: 1234, Age: ptr(12.0), Whole: &Whole{Age: 130, Took: 45}, Warning: "list: unavailable:\n503"},
		Cache: Cache{Bytes: 100 << 20, Limit: 256 << 20, Blocks: 400, Hits: 900, Misses: 100, Fetched: 3 << 30, Read: Read{Memory: 5 << 30, Disk: 2 << 30, Service: 1 << 30}, Ahead: 2 << 30, Wasted: 3 << 20, Evicted: 77, Disk: &Disk{
			Dir: "/var/cache/imagefs/glance-0a1b2c3d", Bytes: 5 << 30, Limit: 20 << 30, Images: 7, Hits: 1234, Written: 6 << 30,
			Evicted: 80, Damaged: 1, Verified: 3, Mismatched: 1, Verifying: 2,
		}},
		Readers: Readers{Open: 4, Windows: 2, Ahead: 24 << 20, Widest: 16 << 20, Spools: 1},
		Commits: Commits{Published: 9, Failed: 1, Sent: 11 << 30},
		Logged: Logged{Warnings: 12, Errors: 1, Last: []LogLine{
			{Time: time.Date(2026, 3, 5, 7, 7, 11, 0, time.UTC), Level: "warn", Message: "read failed", Name: "x", Error: "read image x: corrupt"},
			{Time: time.Date(2026, 3, 5, 7, 8, 2, 0, time.UTC), Level: "warn", Message: "not committed: the draft is kept in staging", Name: "a", Error: "its writer was killed by a signal"},
			{Time: time.Date(2026, 3, 5, 7, 9, 1, 0, time.UTC), Level: "error", Message: "x\x1b[2J"},
		}},
		Requests: RequestCounts{
			Ended:   []RequestCount{{Kind: "authenticate", Code: "201", Count: 1}, {Kind: "open span", Code: "206", Count: 1200}, {Kind: "open span", Code: "503", Count: 3}, {Kind: "open span", Code: "unreachable", Count: 2}},
			Retried: []RetryCount{{Kind: "open span", Count: 4}},
		},
		Passthrough: Passthrough{On: true, Handles: 2}, Handles: 3,
		Uploads: []Upload{
			{Name: "disk.qcow2", Draft: "d1", Path: "/var/lib/imagefs/staging/ab/d1.data", Phase: "uploading", Sent: 300 << 20, Size: 1 << 30, Seconds: 3},
			{Name: "evil\x1b[2J\u202e", Draft: "d2", Path: "/var/lib/imagefs/staging/ab/d2.data", Phase: "checking", Sent: 0, Read: 512 << 10, Size: 0, Behind: true},
		},
		Transfers: []Transfer{
			{Kind: TransferWarm, Image: "5c", Name: "debian.qcow2", Done: 3 << 30, Size: 4 << 30, Seconds: 60},
			{Kind: TransferSpool, Image: "5d", Name: "evil\x1b[2J", Done: 1 << 20, Size: 1 << 30, Seconds: 0.5, Paused: true},
			{Kind: TransferVerify, Image: "5e", Name: "5e", Size: 0},
		},
		Writing: []Writing{{Name: "copied.raw", Draft: "d4", Path: "/var/lib/imagefs/staging/ab/d4.data", Size: 5 << 30}},
		Waiting: []Waiting{
			{Name: "nightly.raw", Draft: "d3", Path: "/var/lib/imagefs/staging/ab/d3.data", Size: 7 << 30, Since: time.Date(2026, 3, 5, 7, 5, 11, 0, time.UTC),
				Tries: 4, Error: "create image: unreachable:\nconnection refused", Next: ptr(time.Date(2026, 3, 5, 7, 9, 41, 0, time.UTC))},
			{Name: "disk.qcow2", Draft: "d1", Path: "/var/lib/imagefs/staging/ab/d1.data", Size: 1 << 30, Since: time.Date(2026, 3, 5, 7, 8, 0, 0, time.UTC), Tries: 1},
		},
		Drafts: []Draft{{ID: "cd", Name: "old.raw", Path: "/var/lib/imagefs/staging/ab/cd.data", State: "failed", Reason: "upload: over quota", Size: 5 << 20}},
	}
}

func idle() Snapshot {
	return Snapshot{
		Mountpoint: "/home/a/m", PID: 1, Version: "dev", State: StateEnding, Uptime: 61,
		Service: Service{URL: "http://127.0.0.1:9292", Trouble: []Trouble{}},
		Options: Options{ReadOnly: true, UID: 1000, GID: 100, Memory: 256 << 20, StagingDir: "/home/a/.local/state/imagefs/staging", Filter: []string{}},
		Cache:   Cache{Limit: 256 << 20, Warning: "in use by another mount"}, Handles: 1, Goroutines: 12,
		Passthrough: Passthrough{Reason: "there is no cache on disk"},
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestText(t *testing.T) {
	for name, s := range map[string]Snapshot{"busy.txt": busy(), "idle.txt": idle()} {
		var b strings.Builder
		if err := s.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		for _, r := range b.String() {
			if r != '\n' && (r < ' ' || r == 0x202e) {
				t.Errorf("%s: control character %U reaches the terminal", name, r)
			}
		}
	}
}

// The JSON keys are a promise: the golden file changes only by additions.
func TestJSON(t *testing.T) {
	text, err := json.MarshalIndent(busy(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "busy.json", string(text)+"\n")
	var back Snapshot
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(busy(), back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{-1: "0s", 0.9: "0s", 59.9: "59s", 60: "1m0s", 3599: "59m59s", 3600: "1h0m", 86400: "1d0h", 93784: "1d2h"} {
		if got := seconds(s); got != want {
			t.Errorf("%v = %q, want %q", s, got, want)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestWriteErrorIsReturned(t *testing.T) {
	if err := idle().WriteText(failing{}); err == nil {
		t.Error("a failed write is not told")
	}
}

func TestListingText(t *testing.T) {
	for want, l := range map[string]Listing{
		"none yet":                              {},
		"none yet, 23,000 images so far":        {Images: 23000},
		"1 image, 3s old (refreshed after 30s)": {Images: 1, Age: ptr(3.0), Whole: &Whole{Age: 3}},
		"2 images, 3s old (refreshed after 30s; read whole 1m35s ago, in 45s)": {Images: 2, Age: ptr(3.0), Whole: &Whole{Age: 95, Took: 45}},
	} {
		if got := l.text(30); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What an Image API says of its versions has the code 300, once for each mount: that is
// no failure.
func TestVersionsAreNoFailure(t *testing.T) {
	r := RequestCounts{Ended: []RequestCount{{Kind: "discover", Code: "300", Count: 1}, {Kind: "list", Code: "200", Count: 2}, {Kind: "get", Code: "404", Count: 1}}}
	if got, want := r.text(), "4 in all, 1 without success, 0 made again"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
