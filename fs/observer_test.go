package fs

import (
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// answered is what an Observer has heard.
type answered struct {
	mu  sync.Mutex // guards the field below
	all map[string]int
}

func (a *answered) observe(o Operation, errno syscall.Errno, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]int{}
	}
	what := Operations()[o]
	if errno != 0 {
		what += " " + errno.Error()
	}
	if took < 0 {
		what += " before it was asked for"
	}
	a.all[what]++
}

func (a *answered) heard(what string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[what]
}

func TestObserver(t *testing.T) {
	h := newHouse()
	h.add("disk.raw", "hello")
	var a answered
	m := mountHouse(t, h, func(o *Options) { o.Observe = a.observe })
	if _, err := os.ReadFile(m.path("disk.raw")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.path("none")); err == nil {
		t.Fatal("there is a file that nobody made")
	}
	if err := os.Mkdir(m.path("dir"), 0o700); err == nil {
		t.Fatal("there is a directory")
	}
	if err := os.WriteFile(m.path("new"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"lookup", "lookup no such file or directory", "mkdir operation not permitted", "open", "read", "create", "write", "flush"} {
		if a.heard(what) == 0 {
			t.Errorf("nobody has heard of %s", what)
		}
	}
	m.eventually("the release, which nobody waits for", func() bool { return a.heard("release") > 0 })
}

// Whatever is asked for is told of, once, and passed on.
func TestEveryOperationIsTold(t *testing.T) {
	untold := []string{
		"Init", "OnUnmount", "String", "SetDebug", // no request of a program
		"Forget",                               // the kernel's own tidying, of thousands at once
		"ReleaseDir",                           // without an answer, and nothing to wait for
		"Access", "Readlink", "Ioctl", "Statx", // go-fuse's answers
		"GetLk", "SetLk", "SetLkw", // the kernel's, as it is asked to keep locks to itself
		"Writev", // Write follows, as that is not implemented here
	}
	told := 0
	w := watched{RawFileSystem: fuse.NewDefaultRawFileSystem(), observe: func(Operation, syscall.Errno, time.Duration) { told++ }}
	asked := map[string]bool{}
	value := reflect.ValueOf(w)
	for i := range value.NumMethod() {
		name, method := value.Type().Method(i).Name, value.Method(i)
		if slices.Contains(untold, name) || !value.Type().Method(i).IsExported() {
			continue
		}
		told = 0
		var in []reflect.Value
		for j := range method.Type().NumIn() {
			of := method.Type().In(j)
			if of.Kind() == reflect.Pointer {
				in = append(in, reflect.New(of.Elem()))
			} else {
				in = append(in, reflect.Zero(of))
			}
		}
		method.Call(in)
		if told != 1 {
			t.Errorf("%s is told of %d times", name, told)
		}
		asked[name] = true
	}
	if len(asked) != len(Operations()) {
		t.Errorf("%d operations for %d names: %v", len(asked), len(Operations()), asked)
	}
}

// BenchmarkObserver is what telling costs one request.
func BenchmarkObserver(b *testing.B) {
	for name, fs := range map[string]fuse.RawFileSystem{
		"without": fuse.NewDefaultRawFileSystem(),
		"with":    watched{RawFileSystem: fuse.NewDefaultRawFileSystem(), observe: func(Operation, syscall.Errno, time.Duration) {}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			in := new(fuse.ReadIn)
			for b.Loop() {
				fs.Read(nil, in, nil)
			}
		})
	}
}
