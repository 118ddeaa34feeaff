package metrics

import (
	"math"
	"runtime"
)

// Definition says what one metric is.
type Definition struct {
	Name   string // its unit, where it has one, is the last word (before total, of a counter)
	Type   Type
	Unit   string // of its values
	Help   string
	Labels []string

	// of takes its values from a snapshot; nil for a histogram, which is counted as it happens.
	of func(s Snapshot, emit emit)
	// buckets are the upper bounds of a histogram's.
	buckets []float64
}

// Type is how a metric behaves.
type Type string

// The types of metrics.
const (
	// Counter only grows, from 0 at the beginning of the mount.
	Counter Type = "counter"
	Gauge   Type = "gauge"
	// Histogram counts its values by their size.
	Histogram Type = "histogram"
)

// emit takes one value, and that of each label in the order of the definition.
type emit func(value float64, labels ...string)

// The units of values.
const (
	unitBytes   = "bytes"
	unitSeconds = "seconds"
	unitNone    = "" // a number of what the name says
	unitTruth   = "0 or 1"
)

// Definitions are all metrics of a mount, in the order of the documents.
func Definitions() []Definition {
	return []Definition{
		{Name: "imagefs_build_info", Type: Gauge, Unit: unitNone, Labels: []string{"version", "go"},
			Help: "Always 1; the labels say which build the mount runs.",
			of:   func(s Snapshot, emit emit) { emit(1, s.Version, runtime.Version()) }},
		{Name: "imagefs_mount_info", Type: Gauge, Unit: unitNone, Labels: []string{"mountpoint", "service", "project"},
			Help: "Always 1; the labels say which mount it is, and of which service and project.",
			of:   func(s Snapshot, emit emit) { emit(1, s.Mountpoint, s.Service.URL, s.Service.Project) }},
		{Name: "imagefs_mounted", Type: Gauge, Unit: unitTruth,
			Help: "Whether the mount answers the kernel; 0 before it does, and while its uploads finish after the unmount.",
			of:   func(s Snapshot, emit emit) { emit(truth(s.State == StateMounted)) }},
		{Name: "imagefs_open_handles", Type: Gauge, Unit: unitNone, Labels: []string{"reader"},
			Help: "Files that are open, by who reads them: the daemon, or the kernel alone (passthrough).",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Handles-s.Passthrough.Handles), "daemon")
				emit(float64(s.Passthrough.Handles), "kernel")
			}},

		operationDuration(),

		{Name: "imagefs_requests_total", Type: Counter, Unit: unitNone, Labels: []string{"kind", "code"},
			Help: "Requests to the Image service and Keystone, by what they ask for and the status of the answer; without one, by why there was none. Each try is one.",
			of: func(s Snapshot, emit emit) {
				for _, r := range s.Requests.Ended {
					emit(float64(r.Count), r.Kind, r.Code)
				}
			}},
		requestDuration(),
		{Name: "imagefs_request_retries_total", Type: Counter, Unit: unitNone, Labels: []string{"kind"},
			Help: "Requests that had failed and were made again, and downloads that went on after they had broken off.",
			of: func(s Snapshot, emit emit) {
				for _, r := range s.Requests.Retried {
					emit(float64(r.Count), r.Kind)
				}
			}},
		{Name: "imagefs_log_lines_total", Type: Counter, Unit: unitNone, Labels: []string{"level"},
			Help: "Warnings and errors that were logged, those included of which the log has only the number.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Logged.Warnings), "warn")
				emit(float64(s.Logged.Errors), "error")
			}},
		{Name: "imagefs_service_failing", Type: Gauge, Unit: unitTruth, Labels: []string{"service"},
			Help: "Whether the service (image, or identity) has failed several times in a row and not answered since. What nobody asks is not known.",
			of: func(s Snapshot, emit emit) {
				s.troubles(emit, func(t Trouble) bool { return !t.Pause })
			}},
		{Name: "imagefs_service_away", Type: Gauge, Unit: unitTruth, Labels: []string{"service"},
			Help: "Whether it has failed for so long that requests fail with it and no longer wait.",
			of: func(s Snapshot, emit emit) {
				s.troubles(emit, func(t Trouble) bool { return t.Away })
			}},
		{Name: "imagefs_service_paused", Type: Gauge, Unit: unitTruth, Labels: []string{"service"},
			Help: "Whether it has asked for a pause (Retry-After) that is not over.",
			of: func(s Snapshot, emit emit) {
				s.troubles(emit, func(t Trouble) bool { return t.Pause })
			}},

		{Name: "imagefs_listing_images", Type: Gauge, Unit: unitNone,
			Help: "Images that the listing has.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Listing.Images)) }},
		{Name: "imagefs_listing_age_seconds", Type: Gauge, Unit: unitSeconds,
			Help: "How old the listing is; missing until there was one. It is made anew when somebody looks, so that it grows where nobody does.",
			of: func(s Snapshot, emit emit) {
				if s.Listing.Age != nil {
					emit(*s.Listing.Age)
				}
			}},
		{Name: "imagefs_listing_pass_age_seconds", Type: Gauge, Unit: unitSeconds,
			Help: "How long ago the last reading of the whole listing began; missing until there was one. After it, deletions show.",
			of: func(s Snapshot, emit emit) {
				if s.Listing.Whole != nil {
					emit(s.Listing.Whole.Age)
				}
			}},
		{Name: "imagefs_listing_pass_duration_seconds", Type: Gauge, Unit: unitSeconds,
			Help: "How long that took; missing until there was one.",
			of: func(s Snapshot, emit emit) {
				if s.Listing.Whole != nil {
					emit(s.Listing.Whole.Took)
				}
			}},
		{Name: "imagefs_listing_failed", Type: Gauge, Unit: unitTruth,
			Help: "Whether the last refresh of the listing failed; the one before it is shown.",
			of:   func(s Snapshot, emit emit) { emit(truth(s.Listing.Warning != "")) }},

		{Name: "imagefs_cache_bytes", Type: Gauge, Unit: unitBytes, Labels: []string{"tier"},
			Help: "What the cache holds, in memory and on disk.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Cache.Bytes), "memory")
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Bytes), "disk") })
			}},
		{Name: "imagefs_cache_limit_bytes", Type: Gauge, Unit: unitBytes, Labels: []string{"tier"},
			Help: "The most that it may hold. The disk's is missing where there is no cache on disk.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Cache.Limit), "memory")
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Limit), "disk") })
			}},
		{Name: "imagefs_cache_images", Type: Gauge, Unit: unitNone,
			Help: "Images of which the disk holds something.",
			of: func(s Snapshot, emit emit) {
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Images)) })
			}},
		{Name: "imagefs_cache_block_reads_total", Type: Counter, Unit: unitNone, Labels: []string{"source"},
			Help: "Blocks that reads wanted, by where they were: in memory, on disk, or neither, so that the service was waited for.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Cache.Hits), "memory")
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Hits), "disk") })
				emit(float64(s.Cache.Misses), "service")
			}},
		{Name: "imagefs_read_bytes_total", Type: Counter, Unit: unitBytes, Labels: []string{"source"},
			Help: "Bytes of images that readers got, by where these were: in memory (also what was fetched ahead of them), on disk, or at the service, so that they waited. What the kernel reads by itself does not come here.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Cache.Read.Memory), "memory")
				emit(float64(s.Cache.Read.Disk), "disk")
				emit(float64(s.Cache.Read.Service), "service")
			}},
		{Name: "imagefs_fetched_bytes_total", Type: Counter, Unit: unitBytes,
			Help: "Bytes of images that came from the service.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Cache.Fetched)) }},
		{Name: "imagefs_prefetched_bytes_total", Type: Counter, Unit: unitBytes,
			Help: "Of those, what came before a read wanted it.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Cache.Ahead)) }},
		{Name: "imagefs_prefetch_wasted_bytes_total", Type: Counter, Unit: unitBytes,
			Help: "Of those fetched, what left memory before anybody had read it (the disk may still have it), and what came when nobody wanted it any more.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Cache.Wasted)) }},
		{Name: "imagefs_readers", Type: Gauge, Unit: unitNone,
			Help: "Readers of images in the daemon: of open files, and of what lies under drafts.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Readers.Open)) }},
		{Name: "imagefs_windows", Type: Gauge, Unit: unitNone,
			Help: "Sequential runs of reads that are fetched ahead of; one reader may have several.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Readers.Windows)) }},
		{Name: "imagefs_windows_bytes", Type: Gauge, Unit: unitBytes,
			Help: "How far is fetched ahead of them, all together.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Readers.Ahead)) }},
		{Name: "imagefs_window_widest_bytes", Type: Gauge, Unit: unitBytes,
			Help: "How far is fetched ahead of the one that has the widest window.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Readers.Widest)) }},
		{Name: "imagefs_spools", Type: Gauge, Unit: unitNone,
			Help: "Images that are read as whole streams, for their store serves no ranges.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Readers.Spools)) }},
		{Name: "imagefs_cache_evicted_blocks_total", Type: Counter, Unit: unitNone, Labels: []string{"tier"},
			Help: "Blocks that made room for others, in memory and on disk.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Cache.Evicted), "memory")
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Evicted), "disk") })
			}},
		{Name: "imagefs_cache_written_bytes_total", Type: Counter, Unit: unitBytes,
			Help: "Bytes that were written to the cache on disk.",
			of: func(s Snapshot, emit emit) {
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Written)) })
			}},
		{Name: "imagefs_cache_damaged_blocks_total", Type: Counter, Unit: unitNone,
			Help: "Blocks on disk that were not as they had been written. They were fetched again.",
			of: func(s Snapshot, emit emit) {
				s.Cache.ofDisk(func(d Disk) { emit(float64(d.Damaged)) })
			}},
		{Name: "imagefs_cache_verified_images_total", Type: Counter, Unit: unitNone, Labels: []string{"result"},
			Help: "Images that lay whole on disk and were compared with their hash: right, or wrong.",
			of: func(s Snapshot, emit emit) {
				s.Cache.ofDisk(func(d Disk) {
					emit(float64(d.Verified), "right")
					emit(float64(d.Mismatched), "wrong")
				})
			}},

		{Name: "imagefs_commits_total", Type: Counter, Unit: unitNone, Labels: []string{"result"},
			Help: "Commits that have ended: published, or failed. One that is tried again behind an answered close fails several times.",
			of: func(s Snapshot, emit emit) {
				emit(float64(s.Commits.Published), "published")
				emit(float64(s.Commits.Failed), "failed")
			}},
		{Name: "imagefs_uploaded_bytes_total", Type: Counter, Unit: unitBytes,
			Help: "Bytes that uploads have sent, those that were sent again included.",
			of:   func(s Snapshot, emit emit) { emit(float64(s.Commits.Sent)) }},
		{Name: "imagefs_uploads", Type: Gauge, Unit: unitNone, Labels: []string{"phase"},
			Help: "Commits under way, by what they are doing.",
			of: func(s Snapshot, emit emit) {
				phases := map[string]int{}
				for _, phase := range Phases() {
					phases[phase] = 0
				}
				for _, u := range s.Uploads {
					phases[u.Phase]++
				}
				for phase, n := range phases {
					emit(float64(n), phase)
				}
			}},
		{Name: "imagefs_waiting_uploads", Type: Gauge, Unit: unitNone,
			Help: "Files whose close was answered and whose upload has not ended (--writeback).",
			of:   func(s Snapshot, emit emit) { emit(float64(len(s.Waiting))) }},
		{Name: "imagefs_waiting_uploads_bytes", Type: Gauge, Unit: unitBytes,
			Help: "The size of those files.",
			of: func(s Snapshot, emit emit) {
				var size int64
				for _, w := range s.Waiting {
					size += w.Size
				}
				emit(float64(size))
			}},
		{Name: "imagefs_waiting_uploads_oldest_seconds", Type: Gauge, Unit: unitSeconds,
			Help: "How long ago the first of them was closed; 0 where none waits.",
			of: func(s Snapshot, emit emit) {
				oldest := 0.0
				for _, w := range s.Waiting {
					oldest = math.Max(oldest, s.now().Sub(w.Since).Seconds())
				}
				emit(oldest)
			}},
		{Name: "imagefs_kept_drafts", Type: Gauge, Unit: unitNone, Labels: []string{"state"},
			Help: "Files that an earlier run, a killed writer or a failed commit left in staging, by their state. Those of all mounts of the service and project.",
			of: func(s Snapshot, emit emit) {
				states := map[string]int{}
				for _, d := range s.Drafts {
					states[d.State]++
				}
				for state, n := range states {
					emit(float64(n), state)
				}
			}},
	}
}

// operationDuration has buckets from what memory takes to what a close waits for.
func operationDuration() Definition {
	return Definition{Name: "imagefs_operation_duration_seconds", Type: Histogram, Unit: unitSeconds, Labels: []string{"operation", "errno"},
		Help:    "How long the kernel's requests to the daemon took, by what they ask for and what they are answered (errno 0: success). A close is flush, and waits for its upload. What the kernel reads by itself, from its page cache or by passthrough, does not come here.",
		buckets: []float64{0.00005, 0.0002, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600}}
}

// requestDuration has buckets from what a cache beside us takes to what an upload does.
func requestDuration() Definition {
	return Definition{Name: "imagefs_request_duration_seconds", Type: Histogram, Unit: unitSeconds, Labels: []string{"kind"},
		Help:    "How long the answers to those requests took to begin; of an upload and a stage, with the sending.",
		buckets: []float64{0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// troubles emits for each service whether any of its troubles is so.
func (s Snapshot) troubles(emit emit, is func(Trouble) bool) {
	for _, service := range []string{"image", "identity"} {
		any := false
		for _, t := range s.Service.Trouble {
			any = any || t.Service == service && is(t)
		}
		emit(truth(any), service)
	}
}

// ofDisk calls f where there is a cache on disk.
func (c Cache) ofDisk(f func(Disk)) {
	if c.Disk != nil {
		f(*c.Disk)
	}
}
