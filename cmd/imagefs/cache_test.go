package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/imagefs/imagefs/image"
)

// cachedBy reads what cache list --json prints, by id.
func (w *world) cachedBy(args ...string) map[string]cachedImage {
	w.t.Helper()
	all := map[string]cachedImage{}
	for d := json.NewDecoder(strings.NewReader(w.mustRun(append([]string{"cache", "list", "--json"}, args...)...))); ; {
		var i cachedImage
		err := d.Decode(&i)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			w.t.Fatal(err)
		}
		all[i.ID] = i
	}
}

// spoil changes a byte of what is cached of an image.
func (w *world) spoil(id string, off int64) {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "cache", "*", id+"-*.data"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("%q, %v", found, err)
	}
	f, err := os.OpenFile(found[0], os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("!"), off)
	if err := errors.Join(err, f.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// The cache of a mount, and the same one when no mount has it: listed, checked, dropped.
func TestCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := service(t, nil)
	upload(t, url, image.New{Name: "a"}, image.New{Name: "b"})
	m := w.mounted(url)
	ids := map[string]string{}
	for _, o := range objects(t, w.mustRun("ls", "--json", m)) {
		ids[o.Entry] = *o.ID
	}
	if got := w.mustRun("cache", "list", m); !strings.HasPrefix(got, "ID ") || strings.Count(got, "\n") != 1 {
		t.Errorf("an empty cache: %q", got)
	}
	w.mustRun("warm", "--head", "1KiB", m+"/b")
	w.mustRun("warm", m+"/a")
	eventually(t, "it is verified", func() bool { return w.mustAsk(m).Cache.Disk.Verified == 1 })
	yes, no, a, b := true, false, "a", "b"
	want := map[string]cachedImage{
		ids["a"]: {Service: url + "/v2", ID: ids["a"], Entry: &a, Size: 300_000, Cached: 300_000, Verified: &yes},
		ids["b"]: {Service: url + "/v2", ID: ids["b"], Entry: &b, Size: 300_000, Cached: 128 << 10, Verified: &no},
	}
	ignored := cmpopts.IgnoreFields(cachedImage{}, "Used")
	got := w.cachedBy(m)
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if age := time.Since(got[ids["a"]].Used); age < -2*time.Second || age > patience {
		t.Errorf("last used %s ago", age)
	}
	if got := w.mustRun("cache", "list", m); !strings.Contains(got, "293 KiB  293 KiB  100%  yes ") || !strings.Contains(got, "  b\n") {
		t.Errorf("%q", got)
	}
	var stats cacheStats
	if err := json.Unmarshal([]byte(w.mustRun("cache", "stats", "--json", m)), &stats); err != nil {
		t.Fatal(err)
	}
	if stats.Images != 2 || stats.Whole != 1 || stats.Verified != 1 || stats.Cache == nil || valueOf(stats.Limit) == 0 || stats.Bytes == 0 || valueOf(stats.Service) != url+"/v2" {
		t.Errorf("%+v", stats)
	}
	if got := w.mustRun("cache", "stats", m); !strings.Contains(got, "\nimages       2, 1 of them whole, 1 verified\n") || !strings.Contains(got, "\nfetched ") {
		t.Errorf("%q", got)
	}

	w.mustRun("cache", "verify", m)
	w.spoil(ids["a"], 5)
	out, stderr, code := w.run("cache", "verify", m)
	if code != exitInternal || !strings.Contains(out, "a: 2 blocks intact, 1 DAMAGED and dropped\n") || !strings.Contains(oneLineOf(t, stderr), "1 of 2 images") {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	if got := w.mustRun("cache", "verify", m+"/a", m+"/b"); got != "a: 2 blocks intact\nb: 1 block intact\n" {
		t.Errorf("%q", got)
	}
	w.mustRun("warm", m+"/a")
	if got := w.mustRun("cache", "verify", m+"/.by-id/"+ids["a"]); got != ids["a"]+": 3 blocks intact, whole, and has its hash\n" {
		t.Errorf("%q", got)
	}
	if got := w.mustFail(exitLocalDir, "cache", "list", "--cache-dir", "cache"); !strings.Contains(got, "name its mountpoint") {
		t.Errorf("%q", got)
	}
	if got := w.mustRun("cache", "drop", m+"/b"); !strings.HasPrefix(got, "b: 136 KiB freed") || len(w.cachedBy(m)) != 1 {
		t.Errorf("%q", got)
	}
	w.mustFail(exitNoImage, "cache", "drop", m+"/none")
	fetched := w.mustAsk(m).Cache.Fetched
	w.mustRun("warm", "--head", "1KiB", m+"/b") // nothing of it is in memory any more
	if got := w.mustAsk(m).Cache.Fetched - fetched; got != 128<<10 {
		t.Errorf("%d bytes were fetched of what was dropped", got)
	}
	w.mustRun("unmount", m)

	delete(want, "")
	for id, i := range want {
		i.Entry = nil
		want[id] = i
	}
	if diff := cmp.Diff(want, w.cachedBy("--cache-dir", "cache"), ignored, cmpopts.IgnoreFields(cachedImage{}, "Verified")); diff != "" {
		t.Errorf("list without a mount (-want +got):\n%s", diff)
	}
	if got := w.mustRun("cache", "stats", "--cache-dir", "cache"); !strings.Contains(got, "images     2, 1 of them whole") || strings.Contains(got, "memory") {
		t.Errorf("%q", got)
	}
	w.spoil(ids["b"], 7)
	out, _, code = w.run("cache", "verify", "--cache-dir", "cache")
	if code != exitInternal || !strings.Contains(out, ids["b"]+": 0 blocks intact, 1 DAMAGED and dropped\n") || !strings.Contains(out, ids["a"]+": 3 blocks intact, whole, and has its hash\n") {
		t.Errorf("code %d, %q", code, out)
	}
	if got := w.mustRun("cache", "drop", "--cache-dir", "cache", strings.ToUpper(ids["a"][:8])); !strings.HasPrefix(got, ids["a"]+": ") {
		t.Errorf("%q", got)
	}
	for args, want := range map[string]string{
		"verify abc": "too short", "drop": "no image is named", "drop --all a b": `unexpected argument "b"`, "list a b": `unexpected argument "b"`, "": "no command given",
	} {
		args := strings.Fields(args)
		if len(args) > 0 {
			args = append(args, "--cache-dir", w.dir+"/cache")
		}
		if _, got, code := runHere(append([]string{"cache"}, args...)...); code != exitUsage || !strings.Contains(got, want) {
			t.Errorf("%v: code %d, %q", args, code, got)
		}
	}
	w.mustFail(exitNoImage, "cache", "drop", "--cache-dir", "cache", ids["a"])
	w.mustRun("cache", "drop", "--cache-dir", "cache", "--all")
	if n := len(w.cachedBy("--cache-dir", "cache")); n != 0 {
		t.Errorf("%d images are left", n)
	}
	w.mustRun("cache", "list", "--cache-dir", "no-such")
	w.mustFail(exitUsage, "cache", "drop", "--all", "m", "--cache-dir", "cache")
	w.mustSh("ln -s cache link")
	if got := w.mustRun("cache", "stats", "--cache-dir", "link"); !strings.Contains(got, w.dir+"/cache/") {
		t.Errorf("by a link: %q", got)
	}
}

// What the kernel reads directly is freed when it is closed, and keeps its bytes until then.
func TestCacheDropsWhatIsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := service(t, nil)
	upload(t, url, image.New{Name: "a"})
	m := w.mounted(url)
	w.mustRun("warm", m+"/a")
	eventually(t, "it is verified", func() bool { return w.mustAsk(m).Cache.Disk.Verified == 1 })
	w.mustSh("exec 3< m/a; " + w.program + " cache drop m/a > said; tr -d x <&3 | wc -c > others")
	said, err := os.ReadFile(filepath.Join(w.dir, "said"))
	others, err2 := os.ReadFile(filepath.Join(w.dir, "others"))
	if err := errors.Join(err, err2); err != nil || strings.TrimSpace(string(others)) != "0" || !strings.HasPrefix(string(said), "a: ") {
		t.Errorf("%v, %q, %q", err, said, others)
	}
	if w.mustAsk(m).Passthrough.On != strings.Contains(string(said), "the rest when") {
		t.Errorf("%q", said)
	}
	eventually(t, "it is freed", func() bool { return w.mustAsk(m).Cache.Disk.Bytes == 0 })
}

// A mount without a cache on disk says so.
func TestNoCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mounted(service(t, nil), "--cache-size", "0")
	if got := w.mustFail(exitLocalDir, "cache", "list", m); !strings.Contains(got, "no cache on disk") {
		t.Errorf("%q", got)
	}
	w.mustFail(exitLocalDir, "cache", "verify", m)
}

// What is found damaged while the kernel reads it directly is fetched again at once, for
// those who have it open, and for those who open it then.
func TestCacheMendsWhatIsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := service(t, nil)
	upload(t, url, image.New{Name: "a"})
	m := w.mounted(url)
	id := *objects(t, w.mustRun("ls", "--json", m))[0].ID
	w.mustRun("warm", m+"/a")
	eventually(t, "it is verified", func() bool { return w.mustAsk(m).Cache.Disk.Verified == 1 })
	f, err := os.Open(m + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.spoil(id, 200_000)
	out, stderr, code := w.run("cache", "verify", m)
	direct := w.mustAsk(m).Passthrough.On
	if code != exitInternal || strings.Contains(out, "a: 2 blocks intact, 1 DAMAGED and dropped, fetched again for 1 open file that the kernel reads directly\n") != direct {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	old, err := io.ReadAll(f) // before others read it, which mends it too
	w.mustSh("tr -d x < m/a | wc -c > others")
	others, err2 := os.ReadFile(filepath.Join(w.dir, "others"))
	if err := errors.Join(err, err2); err != nil || strings.TrimSpace(string(others)) != "0" || strings.Trim(string(old), "x") != "" {
		t.Errorf("%v: %q bytes are wrong of who opens it, %q are in the open file", err, others, strings.Trim(string(old), "x"))
	}
}

func TestServiceDirs(t *testing.T) {
	for _, service := range []string{"http://127.0.0.1:9292/v2", "https://[::1]/image/v2", "x", "https://glance.example"} {
		if name := filepath.Base(serviceDir("/c", service)); !isServiceDir(name) {
			t.Errorf("%q is not known", name)
		}
	}
	for _, name := range []string{"", "dpkg", "deadbeef", "-deadbeef", "host-deadbeeg", "hostdeadbeef", "host-deadbee"} {
		if isServiceDir(name) {
			t.Errorf("%q is taken for a cache", name)
		}
	}
}
