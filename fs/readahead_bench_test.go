package fs

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

// The defaults of tuning rest on these: go test ./fs -run none -bench Kernel

const benchSize = 1 << 30

// benchMount mounts one image of 1 GiB.
func benchMount(b *testing.B, engine *memoryEngine, how tuning) *mounted {
	b.Helper()
	h := newHouse()
	h.engine = engine
	h.add("disk", "", func(img *image.Image) { img.Size = benchSize })
	m := &mounted{house: h, dir: b.TempDir(), logged: &logLines{}}
	server, err := mountTuned(b.Context(), m.dir, h.rooms(), Options{}, how)
	if err != nil {
		b.Fatal(err)
	}
	m.server = server
	b.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			b.Error(err)
		}
		server.Wait()
	})
	return m
}

// forget drops the kernel's pages of the file.
func (m *mounted) forget() {
	f := must(os.Open(m.path("disk")))
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		panic(err)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
}

func dd(b *testing.B, path string, args ...string) {
	b.Helper()
	out, err := exec.Command("dd", append(args, "if="+path, "of=/dev/null", "bs=1M", "status=none")...).CombinedOutput()
	if err != nil || len(out) > 0 {
		b.Errorf("dd: %v: %s", err, out)
	}
}

// sequential is a dd of the whole image, which comes from memory, in the time that
// passes and in processor time: on a machine that others use too, the latter says
// more.
func sequential(b *testing.B, engine *memoryEngine, how tuning) {
	m := benchMount(b, engine, how)
	var spent time.Duration
	b.SetBytes(benchSize)
	for b.Loop() {
		b.StopTimer()
		m.forget()
		before := processorTime()
		b.StartTimer()
		dd(b, m.path("disk"))
		spent += processorTime() - before
	}
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// processorTime is that of this process and of its children that have ended.
func processorTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			panic(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkKernelReadAhead reads with the kernel reading ahead by so much.
func BenchmarkKernelReadAhead(b *testing.B) {
	engine := newMemoryEngine(256 << 20)
	for _, kib := range []int{128, 256, 512, 1024, 2048, 4096} {
		how := defaultTuning
		how.readAhead = kib << 10
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) { sequential(b, engine, how) })
	}
}

// BenchmarkKernelRequests reads by requests of such a size, with so many at once.
func BenchmarkKernelRequests(b *testing.B) {
	engine := newMemoryEngine(256 << 20)
	for _, kib := range []int{128, 256, 512, 1024} {
		for _, background := range []int{12, 64} {
			how := defaultTuning
			how.request, how.background = kib<<10, background
			b.Run(fmt.Sprintf("%dKiB/%dbackground", kib, background), func(b *testing.B) { sequential(b, engine, how) })
		}
	}
}

// BenchmarkKernelBuffers is 64 readers at once of an engine that answers after 20 ms,
// and the memory that they take: of one that hands out bytes in place, as the cache
// does, and of one that fills go-fuse's buffers, as a spool or a draft does.
func BenchmarkKernelBuffers(b *testing.B) {
	for _, kib := range []int{512, 1024} {
		for _, fills := range []bool{false, true} {
			how := defaultTuning
			how.request = kib << 10
			b.Run(fmt.Sprintf("%dKiB/fills=%t", kib, fills), func(b *testing.B) {
				engine := newMemoryEngine(1 << 20)
				engine.delay, engine.fills = 20*time.Millisecond, fills
				m := benchMount(b, engine, how)
				m.forget()
				debug.FreeOSMemory()
				before := resident(b)
				b.SetBytes(64 * 16 << 20)
				for b.Loop() {
					var all sync.WaitGroup
					for i := range 64 {
						all.Go(func() { dd(b, m.path("disk"), fmt.Sprintf("skip=%d", i*16), "count=16", "iflag=direct") })
					}
					all.Wait()
				}
				b.ReportMetric(float64(resident(b)-before)/(1<<20), "MiB")
				b.ReportMetric(float64(engine.most.Load()), "at-once")
			})
		}
	}
}

// resident is this process's resident memory, in bytes.
func resident(b *testing.B) int64 {
	b.Helper()
	for line := range strings.SplitSeq(string(must(os.ReadFile("/proc/self/status"))), "\n") {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
