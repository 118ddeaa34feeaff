package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

// What a reader gets whose service answers wrongly.
type outcome int

const (
	right  outcome = iota // the right bytes
	broken                // EIO, and no wrong byte before it
)

// faults are ways in which a service, a store or a proxy answers wrongly: once, as
// when something restarts, or each time.
var faults = []struct {
	name         string
	once, always outcome
	fault        fault
}{
	{"ignores the range", right, right, func(a *answer, data []byte, _, _ int64) {
		a.status, a.header = "200 OK", nil
		a.body, a.length = data, int64(len(data))
	}},
	{"another start", right, broken, func(a *answer, data []byte, off, end int64) {
		if off == 0 {
			a.header = []string{contentRange(1, end, int64(len(data)))}
			a.body, a.length = data[1:end], end-1
			return
		}
		a.header = []string{contentRange(off-1, end, int64(len(data)))}
		a.body, a.length = data[off-1:end], end-off+1
	}},
	{"another end", right, broken, func(a *answer, data []byte, off, end int64) {
		a.header = []string{contentRange(off, end-1, int64(len(data)))}
		a.body, a.length = data[off:end-1], end-off-1
	}},
	{"another total", right, broken, func(a *answer, data []byte, off, end int64) {
		a.header = []string{contentRange(off, end, int64(len(data))+1)}
	}},
	{"no Content-Range", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.header = nil
	}},
	{"another range as asked for", right, broken, func(a *answer, data []byte, off, end int64) {
		if off == 0 {
			off = 512
		}
		a.body = data[off-512 : off-512+a.length]
		a.header = []string{contentRange(off-512, off-512+a.length, int64(len(data)))}
	}},
	{"too few bytes, and says so", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.length /= 2
		a.body = a.body[:a.length]
	}},
	{"too few bytes", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.body = a.body[:len(a.body)/2]
	}},
	{"too few bytes, without a length", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.length, a.body = -1, a.body[:len(a.body)/2]
	}},
	{"no bytes", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.body = nil
	}},
	{"too many bytes, and says so", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.length += 100
		a.body = append(bytes.Clone(a.body), make([]byte, 100)...)
	}},
	{"too many bytes", right, right, func(a *answer, _ []byte, _, _ int64) {
		a.body = append(bytes.Clone(a.body), make([]byte, 100)...)
	}},
	{"too many bytes, without a length", right, right, func(a *answer, _ []byte, _, _ int64) {
		a.length = -1
		a.body = append(bytes.Clone(a.body), make([]byte, 100)...)
	}},
	{"resets before the header", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.cut, a.reset = 0, true
	}},
	{"closes before the header", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.cut = 0
	}},
	{"resets in the header", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.cut, a.reset = 30, true
	}},
	{"resets in the body", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.body, a.reset = a.body[:len(a.body)/2], true
	}},
	{"closes after 100 KiB", right, right, func(a *answer, _ []byte, _, _ int64) {
		a.body = a.body[:min(100<<10, len(a.body))]
	}},
	{"closes after 100 bytes", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.body = a.body[:min(100, len(a.body))]
	}},
	{"is no HTTP", right, broken, func(a *answer, _ []byte, _, _ int64) {
		a.status = "\x00\x00\x00"
	}},
}

// TestFaults: a service that answers wrongly gives a reader the right bytes, after a
// retry, or EIO in a bounded time; never a wrong byte. Once it answers rightly again,
// so does the mount.
func TestFaults(t *testing.T) {
	w, s := newWire(t, services[0])
	const size = 2<<20 + 4711
	m := mountOn(t, s, "--streams", "64")
	for i, f := range faults {
		for _, each := range []bool{false, true} {
			name, want, times := f.name+", once", f.once, 1
			if each {
				name, want, times = f.name+", each time", f.always, -1
			}
			data := noise(uint64(100+i), size)
			entry := fmt.Sprintf("fault-%d-%v.img", i, each)
			img := s.upload(t, image.New{Name: entry}, data)
			w.spoil(img.ID, data, times, f.fault)
			t.Run(name, func(t *testing.T) {
				t.Parallel() // most of the time goes by in the client's pauses
				local := filepath.Join(t.TempDir(), "local")
				read := func() error {
					// Direct, because the kernel reads again for itself what failed.
					_, err := try(t, "dd", "if="+m.path(entry), "of="+local, "bs=512k", "iflag=direct")
					return err
				}
				err := read()
				hit := w.mend(img.ID)
				t.Logf("%d answers were spoilt: %v", hit, err)
				got, readErr := os.ReadFile(local)
				if readErr != nil {
					t.Fatal(readErr)
				}
				if hit == 0 {
					t.Error("no answer was spoilt")
				}
				if !bytes.HasPrefix(data, got) {
					t.Error("wrong bytes were read")
				}
				switch want {
				case right:
					if err != nil || len(got) != size {
						t.Errorf("%d bytes, %v; want all", len(got), err)
					}
				case broken:
					if err == nil || !strings.Contains(err.Error(), "Input/output error") {
						t.Errorf("%d bytes, %v; want EIO", len(got), err)
					}
					until(t, "the log to name the image", func() bool {
						return strings.Contains(m.log.String(), `msg="read failed" image=`+img.ID)
					})
				}
				if err := read(); err != nil {
					t.Errorf("when the service answers rightly: %v", err)
				}
				if got, err := os.ReadFile(local); err != nil || !bytes.Equal(got, data) {
					t.Errorf("when the service answers rightly: %d bytes, %v", len(got), err)
				}
			})
		}
	}
}

// Ctrl-C ends a program that waits on a service which does not go on, and the mount
// goes on: other images at once, that image when the service does.
func TestInterruptedAtAStall(t *testing.T) {
	w, s := newWire(t, services[0])
	data := noise(140, 4<<20)
	source := file(t, "source", data)
	m := mountOn(t, s)
	for at, f := range map[string]fault{
		"before the header": func(a *answer, _ []byte, _, _ int64) { a.cut, a.stall = 0, true },
		"in the header":     func(a *answer, _ []byte, _, _ int64) { a.cut, a.stall = 20, true },
		"before the body":   func(a *answer, _ []byte, _, _ int64) { a.body, a.stall = nil, true },
		"in the body":       func(a *answer, _ []byte, _, _ int64) { a.body, a.stall = a.body[:1000], true },
	} {
		for _, program := range []string{"cat FILE", "dd if=FILE of=/dev/null bs=64k iflag=direct"} {
			t.Run(program[:3]+" "+at, func(t *testing.T) {
				entry, other := strings.ReplaceAll(t.Name(), "/", "-"), strings.ReplaceAll(t.Name(), "/", "-beside-")
				img := s.upload(t, image.New{Name: entry}, data)
				s.upload(t, image.New{Name: other}, data)
				w.spoil(img.ID, data, -1, f)
				args := strings.Fields(strings.ReplaceAll(program, "FILE", m.path(entry)))
				reader := exec.Command(args[0], args[1:]...)
				if err := reader.Start(); err != nil {
					t.Fatal(err)
				}
				m.until("the service to stall", func() bool { return w.stalled(img.ID) > 0 })

				begun := time.Now()
				if err := reader.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				_ = reader.Wait() // how it ended is looked at
				status, ok := reader.ProcessState.Sys().(syscall.WaitStatus)
				if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
					t.Errorf("%v, want ended by SIGINT", reader.ProcessState)
				}
				// The stall time-out is 60 s: what ended it was the signal.
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("it ended %v after the signal", took)
				}
				run(t, "cmp", source, m.path(other))
				if args[0] == "dd" {
					// The kernel has told of the signal. What it reads ahead for cat
					// belongs to nobody, and is given up at the time-out only.
					m.until("the request to be given up", func() bool { return w.stalled(img.ID) == 0 })
				}
				w.mend(img.ID)
				run(t, "cmp", source, m.path(entry))
			})
		}
	}
}
