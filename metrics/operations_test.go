package metrics

import (
	"syscall"
	"testing"
	"time"
)

// Counting a success takes no memory: it happens at each read.
func TestCountingTakesNoMemory(t *testing.T) {
	o := NewOperations([]string{"read"})
	if n := testing.AllocsPerRun(100, func() { o.Answered(0, 0, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestErrnoName(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{syscall.ENOENT: "ENOENT", syscall.EOPNOTSUPP: "EOPNOTSUPP", 4000: "4000"} {
		if got := errnoName(errno); got != want {
			t.Errorf("%d is %s, want %s", errno, got, want)
		}
	}
}

// BenchmarkOperations is what counting costs one request of the kernel.
func BenchmarkOperations(b *testing.B) {
	o := NewOperations([]string{"read"})
	for name, errno := range map[string]syscall.Errno{"success": 0, "error": syscall.ENOENT} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o.Answered(0, errno, 40*time.Microsecond)
			}
		})
	}
}
