package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// An image made with the OpenStack client is a file for the tools that people use.
func TestImageMadeElsewhere(t *testing.T) {
	s := services[1]
	m := mountOn(t, s)
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk.qcow2")
	raw := file(t, "disk.raw", append(noise(20, 8<<20), make([]byte, 24<<20)...))
	run(t, "qemu-img", "convert", "-O", "qcow2", raw, disk)
	name := s.cleanName(t, "elsewhere.qcow2")
	openstack(t, "image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", disk, name)

	if out := run(t, "ls", m.dir); !strings.Contains(out, name) {
		t.Errorf("ls shows %s", out)
	}
	var info struct {
		Format      string `json:"format"`
		VirtualSize int64  `json:"virtual-size"`
	}
	if err := json.Unmarshal([]byte(run(t, "qemu-img", "info", "--output=json", m.path(name))), &info); err != nil {
		t.Fatal(err)
	}
	if info.Format != "qcow2" || info.VirtualSize != 32<<20 {
		t.Errorf("qemu-img info says %+v", info)
	}
	run(t, "qemu-img", "check", m.path(name))
	run(t, "qemu-img", "convert", "-O", "raw", m.path(name), filepath.Join(dir, "out.raw"))
	run(t, "cmp", raw, filepath.Join(dir, "out.raw"))
	run(t, "rsync", "-a", m.path(name), dir+"/copied.qcow2")
	run(t, "cmp", disk, dir+"/copied.qcow2")
	run(t, "dd", "if="+m.path(name), "of="+dir+"/direct", "bs=64k", "iflag=direct")
	run(t, "cmp", disk, dir+"/direct")
}

// A mebibyte from the middle of ten gibibytes costs about a mebibyte.
func TestReadFarInside(t *testing.T) {
	s := services[1]
	name := s.cleanName(t, "ten-gibibytes.raw")
	source := filepath.Join(t.TempDir(), "source")
	run(t, "truncate", "-s", "10G", source)
	mark := noise(21, 1<<20)
	f, err := os.OpenFile(source, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(mark, 8<<30); err != nil {
		t.Fatal(err)
	}
	// Not by `openstack image create`, which would first hash all of it twice.
	img, err := s.api.Create(t.Context(), image.New{Name: name, DiskFormat: "raw", ContainerFormat: "bare"})
	if err == nil {
		err = s.api.Upload(t.Context(), img.ID, 10<<30, func() io.Reader { return io.NewSectionReader(f, 0, 10<<30) })
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}

	proxy, moved := countingProxy(t, strings.TrimSuffix(s.api.Service(), "/v2"))
	token := strings.TrimSpace(openstack(t, "token", "issue", "-f", "value", "-c", "id"))
	t.Setenv("OS_TOKEN", token)
	m := mountOn(t, service{name: "counted", args: []string{"--endpoint", proxy}, api: s.api})
	before := moved.Load()
	out := filepath.Join(t.TempDir(), "out")
	run(t, "dd", "if="+m.path(name), "of="+out, "bs=1M", "skip=8192", "count=1")
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, mark) {
		t.Fatalf("dd read other bytes, %v", err)
	}
	cost := moved.Load() - before
	t.Logf("dd of 1 MiB at 8 GiB of 10 GiB moved %d bytes", cost)
	if cost >= 8<<20 {
		t.Errorf("dd of 1 MiB moved %d bytes, want less than 8 MiB", cost)
	}
	if strings.Contains(m.log.String(), token) {
		t.Error("the log has the token")
	}
}

// countingProxy forwards to a service and counts the bytes of its answers.
func countingProxy(t *testing.T, to string) (endpoint string, moved *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	moved = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(countingWriter{w, moved}, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, moved
}

type countingWriter struct {
	http.ResponseWriter
	moved *atomic.Int64
}

func (w countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.moved.Add(int64(n))
	return n, err
}

func (w countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Ten readers of ten images and four writers at once are all right.
func TestManyAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		const readers, writers = 10, 4
		sources := make([]string, readers)
		for i := range readers {
			data := noise(uint64(30+i), 8<<20+i*4097)
			name := fmt.Sprintf("many-%d.img", i)
			sources[i] = file(t, name, data)
			s.upload(t, image.New{Name: s.cleanName(t, name)}, data)
		}
		var all sync.WaitGroup
		for i := range readers {
			all.Go(func() {
				if _, err := try(t, "cmp", sources[i], m.path(fmt.Sprintf("many-%d.img", i))); err != nil {
					t.Errorf("reader %d: %v", i, err)
				}
			})
		}
		for i := range writers {
			name := s.cleanName(t, fmt.Sprintf("many-new-%d.img", i))
			all.Go(func() {
				if _, err := try(t, "cp", sources[i], m.path(name)); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		all.Wait()
		for i := range writers {
			data, err := os.ReadFile(sources[i])
			if err != nil {
				t.Fatal(err)
			}
			holds(t, s.one(t, fmt.Sprintf("many-new-%d.img", i)), data)
		}
		m.settled()
	})
}

// A store that serves no ranges is read by one stream.
func TestStoreWithoutRanges(t *testing.T) {
	s := embedded(t, "--no-ranges")
	data := noise(40, 48<<20+11)
	source := file(t, "whole.img", data)
	s.upload(t, image.New{Name: "whole.img"}, data)
	m := mountOn(t, s, "--memory", "16MiB")
	run(t, "cmp", source, m.path("whole.img"))
	f, err := os.Open(m.path("whole.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 4096)
	for _, off := range []int64{40 << 20, 1 << 20, 48 << 20, 3} { // forth and back, in a cache smaller than the image
		n, err := f.ReadAt(p, off)
		if !bytes.Equal(p[:n], data[off:min(off+4096, int64(len(data)))]) {
			t.Errorf("other bytes at %d (%v)", off, err)
		}
	}
}
