package imageserver

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	active := r.newActive(t, "kept")
	r.want(t, http.StatusOK, "PATCH", "/v2/images/"+active, `[{"op":"add","path":"/x","value":"<y>"},{"op":"replace","path":"/tags","value":["t"]}]`, patchType)
	r.want(t, http.StatusOK, "POST", "/v2/images/"+active+"/members", `{"member":"friend"}`)
	r.want(t, http.StatusNoContent, "POST", "/v2/images/"+active+"/actions/deactivate", "")
	gone := r.newActive(t, "gone")
	r.want(t, http.StatusNoContent, "DELETE", "/v2/images/"+gone, "")
	before := r.want(t, http.StatusOK, "GET", "/v2/images/"+active, "").body
	if _, err := New(Options{Dir: dir}); err == nil {
		t.Error("two servers on one directory")
	}
	r.end(t)

	r = open(t, Options{Dir: dir})
	if after := r.want(t, http.StatusOK, "GET", "/v2/images/"+active, "").body; string(after) != string(before) {
		t.Errorf("after:  %s\nbefore: %s", after, before)
	}
	r.want(t, http.StatusOK, "GET", "/v2/images/"+active+"/members/friend", "")
	r.want(t, http.StatusNoContent, "POST", "/v2/images/"+active+"/actions/reactivate", "")
	if got := r.want(t, http.StatusOK, "GET", "/v2/images/"+active+"/file", ""); string(got.body) != "kept" {
		t.Errorf("data %q", got.body)
	}
	r.want(t, http.StatusNotFound, "GET", "/v2/images/"+gone, "")
	r.want(t, http.StatusConflict, "POST", "/v2/images", `{"id":"`+gone+`"}`)
	for _, sub := range []string{dirData, dirRecords} {
		if names := files(t, dir, sub); len(names) != 1 {
			t.Errorf("%s: %q", sub, names)
		}
	}
}

func files(t *testing.T, dir, sub string) []string {
	t.Helper()
	names, err := listDir(filepath.Join(dir, sub))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCrashLeftovers opens a directory as a kill can leave it.
func TestCrashLeftovers(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	active := r.newActive(t, "kept")
	saving := r.newImage(t, `"name":"saving"`)
	staged := r.newImage(t, `"name":"staged","disk_format":"raw","container_format":"bare"`)
	lost := r.newImage(t, `"name":"lost"`)
	buried := r.newActive(t, "buried")
	r.end(t)

	edit := func(id, from, to string) {
		path := filepath.Join(dir, dirRecords, recordName(id))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), from, to, 1)
		if changed == string(text) {
			t.Fatalf("no %s in %s", from, text)
		}
		write(t, changed, path)
	}
	edit(saving, `"queued"`, `"saving"`)
	write(t, "bytes without a record of them", dir, dirData, saving)
	edit(staged, `"queued"`, `"importing"`)
	edit(staged, `"size":null`, `"size":5`)
	write(t, "bytes", dir, dirStaged, staged)
	edit(lost, `"queued"`, `"uploading"`)
	write(t, "half", dir, dirPartial, "1234")
	write(t, buried+"\n"+active[:20], dir, "deleted") // the second line was cut off
	write(t, "not ours", dir, dirRecords, "README")

	r = open(t, Options{Dir: dir})
	for id, want := range map[string]string{active: "active", saving: "queued", staged: "uploading", lost: "queued"} {
		if got := r.status(t, id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	r.want(t, http.StatusNotFound, "GET", "/v2/images/"+buried, "")
	r.want(t, http.StatusConflict, "POST", "/v2/images", `{"id":"`+buried+`"}`)
	if got := files(t, dir, dirPartial); len(got) != 0 {
		t.Errorf("partial: %q", got)
	}
	if got := files(t, dir, dirData); len(got) != 1 || got[0] != active {
		t.Errorf("data: %q", got)
	}
	r.want(t, http.StatusAccepted, "POST", "/v2/images/"+staged+"/import", `{"method":{"name":"glance-direct"}}`)
	r.eventually(t, staged, "active")
	r.want(t, http.StatusNoContent, "DELETE", "/v2/images/"+lost, "")
	r.end(t)

	r = open(t, Options{Dir: dir})
	for _, id := range []string{buried, lost} {
		r.want(t, http.StatusConflict, "POST", "/v2/images", `{"id":"`+id+`"}`)
	}
	if got := r.want(t, http.StatusOK, "GET", "/v2/images/"+staged+"/file", ""); string(got.body) != "bytes" {
		t.Errorf("imported %q", got.body)
	}
}

// TestUnreadableRecord pins that a spoilt record is an error that names the
// file, not a lost image.
func TestUnreadableRecord(t *testing.T) {
	for _, text := range []string{"", "{", `{"id":"11111111-2222-4333-8444-555555555556"}`} {
		dir := t.TempDir()
		open(t, Options{Dir: dir}).end(t)
		path := filepath.Join(dir, dirRecords, "11111111-2222-4333-8444-555555555555.json")
		write(t, text, path)
		s, err := New(Options{Dir: dir})
		if err == nil {
			t.Error(s.Close())
		}
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("record %q: %v", text, err)
		}
	}
}

// TestUnknownFormat pins that a directory of a later version is left alone.
func TestUnknownFormat(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir}).end(t)
	open(t, Options{Dir: dir}).end(t)
	write(t, "2\n", dir, formatName)
	write(t, "precious", dir, dirPartial, "1234")
	s, err := New(Options{Dir: dir})
	if err == nil {
		t.Error(s.Close())
	}
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, formatName)) || !strings.Contains(err.Error(), `"2"`) {
		t.Error(err)
	}
	if got := files(t, dir, dirPartial); len(got) != 1 {
		t.Errorf("%q are left", got)
	}
}

// TestFullDisk starts a server where nothing can be written, so that images can be deleted:
// on a directory that says its format and on one that does not, with a transfer that was
// cut off.
func TestFullDisk(t *testing.T) {
	for _, format := range []string{formatVersion + "\n", ""} {
		dir := t.TempDir()
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		r := open(t, Options{Dir: dir})
		first, last := r.newActive(t, "first"), r.newActive(t, "last")
		cut := r.newImage(t, `"name":"cut off"`)
		r.want(t, http.StatusNoContent, "DELETE", "/v2/images/"+first, "")
		r.end(t)
		path := filepath.Join(dir, dirRecords, recordName(cut))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, strings.Replace(string(text), `"queued"`, `"saving"`, 1), path)
		write(t, format, dir, formatName)
		fill, err := os.Create(filepath.Join(dir, "fill"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = fill.ReadFrom(bytes.NewReader(make([]byte, 2<<20)))
		if !diskFull(err) {
			t.Fatalf("the disk is not full: %v", err)
		}
		if err := fill.Close(); err != nil {
			t.Fatal(err)
		}

		r = open(t, Options{Dir: dir})
		if got := r.status(t, cut); got != "queued" {
			t.Errorf("what was cut off is %s", got)
		}
		if got, err := os.ReadFile(filepath.Join(dir, formatName)); err != nil || string(got) != format {
			t.Errorf("the format %q became %q, %v", format, got, err)
		}
		r.want(t, http.StatusNoContent, "DELETE", "/v2/images/"+last, "")
		r.end(t)
		r = open(t, Options{Dir: dir}) // there is room again
		if got, err := os.ReadFile(filepath.Join(dir, formatName)); err != nil || string(got) != formatVersion+"\n" {
			t.Errorf("the format %q became %q, %v", format, got, err)
		}
		r.end(t)
	}
}

// killDir is the variable that makes TestKill serve instead, until it is killed.
const killDir = "IMAGESERVER_TEST_KILL_DIR"

// TestKill kills a server with SIGKILL in the middle of an upload.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		s, err := New(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("serving " + httptest.NewServer(s).URL)
		select {}
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestKill$")
	child.Env = append(os.Environ(), killDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{url: strings.TrimSpace(strings.TrimPrefix(line, "serving "))}
	whole := r.newActive(t, strings.Repeat("whole", 1<<20))
	half := r.newImage(t, `"disk_format":"raw","container_format":"bare"`)
	r.cut(t, half, strings.Repeat("half", 1<<16), 1<<30)
	r.eventually(t, half, "saving")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the server was not killed")
	}
	http.DefaultClient.CloseIdleConnections()

	r = open(t, Options{Dir: dir})
	if got := r.want(t, http.StatusOK, "GET", "/v2/images/"+whole+"/file", ""); string(got.body) != strings.Repeat("whole", 1<<20) {
		t.Errorf("%d bytes of a completed upload", len(got.body))
	}
	if got := r.status(t, half); got != "queued" {
		t.Errorf("the interrupted upload is %s", got)
	}
	r.want(t, http.StatusNoContent, "PUT", "/v2/images/"+half+"/file", "again", octetStream)
}
