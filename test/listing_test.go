package test

import (
	"bufio"
	host "encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

// crowded is an embedded server of many images, and what they are called.
func crowded(t *testing.T, count int) (service, []string) {
	t.Helper()
	dir := t.TempDir()
	if err := imageserver.Seed(dir, count); err != nil {
		t.Fatal(err)
	}
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("debian-12-server-amd64-%06d", i)
	}
	return inProcess(t, dir), names
}

// All that lists a large directory finds the same, and only what must ask the service
// does, as often as it must.
func TestLargeDirectory(t *testing.T) {
	const crowd, crowdPages = 20_500, 21
	plain, names := crowded(t, crowd)
	w, s := newWire(t, plain)
	pages := func() (n int) {
		for _, e := range w.exchanges() {
			if strings.HasPrefix(e.what, "GET /v2/images") {
				n++
			}
		}
		return n
	}
	m := mountOn(t, s, "--list-ttl", "10m")
	pages() // of the mount's start

	run(t, "stat", m.path(names[crowd/2]))
	if n := pages(); n != 1 {
		t.Errorf("stat of one name took %d requests, want 1", n)
	}
	script := func(script string) func() string {
		return func() string { return run(t, "bash", "-ec", script, m.dir) }
	}
	for _, c := range []struct {
		what string
		list func() string
		want int // requests
	}{
		{"ls -l", script(`ls -l "$0" | awk 'NR > 1 { print $NF }'`), crowdPages},
		{"ls -U", script(`ls -U "$0"`), 0},
		{"ls -f", script(`ls -f "$0" | grep -v '^[.]'`), 0},
		{"ls -lU", script(`ls -lU "$0" | awk 'NR > 1 { print $NF }'`), 0},
		{"find", script(`find "$0" -type f -printf '%f\n'`), 0},
		{"find -size", script(`find "$0" -type f -size +0 -printf '%f\n'`), 0},
		{"rsync --list-only", script(`rsync --list-only "$0/" | awk '$1 ~ /^-/ { print $NF }'`), 0},
		{"a glob", script(`cd "$0"; printf '%s\n' *`), 0},
		{"a glob of some", script(`cd "$0"; printf '%s\n' debian-*`), 0},
	} {
		got := strings.Split(strings.TrimSuffix(c.list(), "\n"), "\n")
		slices.Sort(got)
		if diff := gocmp.Diff(names, got); diff != "" {
			t.Errorf("%s lists %d entries, want %d; the difference begins with\n%.2000s", c.what, len(got), crowd, diff)
		}
		if n := pages(); n != c.want {
			t.Errorf("%s took %d requests, want %d", c.what, n, c.want)
		}
	}
}

// A reader that pauses in the middle of a directory goes on where it was, whatever
// has changed meanwhile, and one that seeks back finds what was there.
func TestPausedReader(t *testing.T) {
	const crowd = 6_500
	s, names := crowded(t, crowd)
	m := mountOn(t, s, behindTTL...)
	touched := map[string]bool{}
	for round, when := range []string{"while it is fetched", "when it is known"} {
		fd, err := unix.Open(m.dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		begin, more := getdents(t, fd, 3000)
		if !more {
			t.Fatalf("%s: all is read at once", when)
		}
		// Changes at both ends, by others and through the mount.
		first, last := 10*round, crowd-1-10*round
		for _, name := range []string{names[first], names[last]} {
			if err := s.api.Delete(t.Context(), s.one(t, name).ID); err != nil {
				t.Fatal(err)
			}
		}
		run(t, "rm", m.path(names[first+1]), m.path(names[last-1]))
		run(t, "mv", m.path(names[first+2]), m.path("moved-"+names[first+2]))
		for _, name := range []string{names[first], names[last], names[first+1], names[last-1], names[first+2]} {
			touched[name] = true
		}
		made := fmt.Sprintf("made-%d", round)
		s.upload(t, image.New{Name: made}, []byte("x"))
		m.until("others to see it", func() bool {
			_, err := os.Lstat(m.path(made))
			return err == nil
		})
		rest, more := getdents(t, fd, crowd+1000)
		if more {
			t.Fatalf("%s: the directory does not end", when)
		}
		seen := map[string]int{}
		for _, e := range slices.Concat(begin, rest) {
			seen[e.name]++
			if seen[e.name] == 2 {
				t.Errorf("%s: %s is listed twice", when, e.name)
			}
		}
		for _, name := range names {
			if seen[name] == 0 && !touched[name] {
				t.Errorf("%s: %s is not listed", when, name)
			}
		}
		// telldir and seekdir: a cookie leads to the entry behind its own.
		for _, at := range []int{2, len(begin) / 2, len(begin) - 2} {
			if _, err := unix.Seek(fd, begin[at].next, 0); err != nil {
				t.Fatal(err)
			}
			again, _ := getdents(t, fd, 1)
			if again[0].name != begin[at+1].name {
				t.Errorf("%s: behind %s is %s after a seek, was %s", when, begin[at].name, again[0].name, begin[at+1].name)
			}
		}
	}
}

// dirent is one entry as the kernel gives it.
type dirent struct {
	name string
	next int64 // the cookie of what comes behind it
}

// getdents reads at least so many entries; more is false at the directory's end.
func getdents(t *testing.T, fd, least int) (all []dirent, more bool) {
	t.Helper()
	buf := make([]byte, 16<<10)
	for len(all) < least {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatalf("getdents after %d entries: %v", len(all), err)
		}
		if n == 0 {
			return all, false
		}
		for p := buf[:n]; len(p) > 0; { // struct linux_dirent64
			length := host.NativeEndian.Uint16(p[16:])
			name, _, _ := strings.Cut(string(p[19:length]), "\x00")
			all = append(all, dirent{name: name, next: int64(host.NativeEndian.Uint64(p[8:]))})
			p = p[length:]
		}
	}
	return all, true
}

// The first page is printed while the service still holds the other ones back.
func TestListingStreams(t *testing.T) {
	const crowd = 6_500
	plain, names := crowded(t, crowd)
	target, err := url.Parse(plain.args[1])
	if err != nil {
		t.Fatal(err)
	}
	const free = 3 // pages that are answered at once
	var (
		mu    sync.Mutex // guards asked
		asked int
	)
	letGo, held := make(chan struct{}), make(chan struct{})
	open := sync.OnceFunc(func() { close(letGo) })
	hold := sync.OnceFunc(func() { close(held) })
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/images" && r.URL.Query().Get("limit") == "1000" {
			mu.Lock()
			asked++
			waits := asked > free
			mu.Unlock()
			if waits {
				hold()
				select {
				case <-letGo:
				case <-r.Context().Done():
				}
			}
		}
		proxy.ServeHTTP(rw, r)
	})
	server := httptest.NewServer(front)
	defer server.Close()
	defer open() // before it: whoever is held keeps it from closing
	plain.args = []string{"--endpoint", server.URL}
	m := mountOn(t, plain)
	ls := exec.Command("ls", "-f", m.dir)
	out, err := ls.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ls.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var got []string
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), ".") {
			continue
		}
		if len(got) == 0 {
			select {
			case <-held: // so there is more to come
			case <-t.Context().Done():
			}
			open()
		}
		got = append(got, lines.Text())
	}
	if err := ls.Wait(); err != nil {
		t.Error(err)
	}
	slices.Sort(got)
	if diff := gocmp.Diff(names, got); diff != "" {
		t.Errorf("ls lists %d entries, want %d; the difference begins with\n%.2000s", len(got), crowd, diff)
	}
}
