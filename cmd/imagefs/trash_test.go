package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// bin is a service with images in its trash, and where to ask for it.
type bin struct {
	t        *testing.T
	endpoint string
	api      *client.Client
}

func newBin(t *testing.T) *bin {
	t.Helper()
	for _, name := range []string{"OS_CLOUD", "OS_TOKEN", "IMAGEFS_CONFIG"} {
		t.Setenv(name, "")
	}
	b := &bin{t: t, endpoint: service(t, nil)}
	api, err := client.Dial(t.Context(), client.Options{Endpoint: b.endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	b.api = api
	return b
}

// made makes an image; trashed one that lies in the trash.
func (b *bin) made(id, name string) image.Image {
	b.t.Helper()
	img, err := b.api.Create(b.t.Context(), image.New{ID: id, Name: name, DiskFormat: "raw", ContainerFormat: "bare"})
	if err == nil {
		err = b.api.Upload(b.t.Context(), img.ID, 2048, func() io.Reader { return bytes.NewReader(make([]byte, 2048)) })
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

func (b *bin) trashed(id, name, by string) image.Image {
	b.t.Helper()
	img := b.made(id, name)
	if err := newTrash(b.api, time.Hour, nil).Remove(b.t.Context(), img.ID, by); err != nil {
		b.t.Fatal(err)
	}
	return img
}

// in runs a command of trash with that on its standard input.
func (b *bin) in(stdin io.Reader, args ...string) (stdout, stderr string, code exitCode) {
	var out, err lockedBuffer
	args = append([]string{"trash"}, append(args, "--endpoint", b.endpoint)...)
	code = exitCode(run(context.Background(), args, streams{In: stdin, Out: &out, Err: &err}))
	return out.String(), err.String(), code
}

func (b *bin) run(args ...string) (stdout, stderr string, code exitCode) {
	return b.in(strings.NewReader(""), args...)
}

// state says of each image whether it shows, lies in the trash, or is gone.
func (b *bin) state(ids ...string) string {
	b.t.Helper()
	var words []string
	for _, id := range ids {
		img, err := b.api.Get(b.t.Context(), id)
		_, lies := img.Trashed()
		switch {
		case image.Is(err, image.NotFound):
			words = append(words, "gone")
		case err != nil:
			b.t.Fatal(err)
		case lies:
			words = append(words, "lies")
		case img.Hidden || img.Properties[image.PropertyTrash] != "":
			words = append(words, "neither")
		default:
			words = append(words, "shows")
		}
	}
	return strings.Join(words, " ")
}

const (
	idA = "5f3a0000-0000-4000-8000-000000000001"
	idB = "5f3b0000-0000-4000-8000-000000000002"
	idC = "91c00000-0000-4000-8000-000000000003"
)

func TestTrashList(t *testing.T) {
	b := newBin(t)
	if out, stderr, code := b.run("list"); code != exitOK || out != "nothing in the trash\n" || stderr != "" {
		t.Errorf("of an empty trash: code %d, %q, %q", code, out, stderr)
	}
	if out, _, _ := b.run("list", "--json"); out != "[]\n" {
		t.Errorf("of an empty trash: %q", out)
	}
	b.made(idC, "shows")
	b.trashed(idA, "a\x1b[2J", "")
	b.trashed(idB, "b", idC)
	out, stderr, code := b.run("list")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != exitOK || stderr != "" || len(lines) != 3 {
		t.Fatalf("code %d, %q: %s", code, stderr, out)
	}
	for i, words := range [][]string{{"ID", "DELETED AFTER"}, {idA, "a%1B[2J", "2.0 KiB", "removed"}, {idB, "b", "replaced by " + idC}} {
		for _, word := range words {
			if !strings.Contains(lines[i], word) {
				t.Errorf("line %d does not have %q: %s", i, word, lines[i])
			}
		}
	}
	out, _, _ = b.run("list", "--json")
	var got []trashEntry
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	if kept := got[0].Until.Sub(got[0].Since); kept < time.Hour || kept > time.Hour+2*time.Second {
		t.Errorf("it is kept for %v", kept)
	}
	for i := range got {
		got[i].Since, got[i].Until = time.Time{}, time.Time{}
	}
	want := []trashEntry{{ID: idA, Name: "a\x1b[2J", Size: 2048, Why: "removed"}, {ID: idB, Name: "b", Size: 2048, Why: "replaced", By: idC}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTrashRestore(t *testing.T) {
	b := newBin(t)
	b.trashed(idA, "disk", "")
	b.trashed(idB, "disk", "")
	b.trashed(idC, "other/disk", "")
	for _, c := range []struct {
		word, says string
		code       exitCode
	}{
		{"disk", `"disk" is several images in the trash: name one of ` + idA + ", " + idB, exitUsage},
		{"5f3", `"5f3" is several images in the trash`, exitUsage},
		{"77", `no image in the trash is "77": see imagefs trash list`, exitNoImage},
		{"", `no image in the trash is ""`, exitNoImage},
	} {
		_, stderr, code := b.run("restore", idC, c.word)
		if line := oneLineOf(t, stderr); code != c.code || !strings.Contains(line, c.says) {
			t.Errorf("%q: code %d, %s", c.word, code, line)
		}
	}
	if got := b.state(idA, idB, idC); got != "lies lies lies" {
		t.Errorf("after mistakes: %s", got)
	}
	out, stderr, code := b.run("restore", "5F3A", "other%2Fdisk", idA)
	if want := "restored " + idA + " disk\nrestored " + idC + " other%2Fdisk\n"; code != exitOK || out != want || stderr != "" {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	if got := b.state(idA, idB, idC); got != "shows lies shows" {
		t.Errorf("restored: %s", got)
	}
	_, stderr, code = b.run("restore", "disk")
	if line := oneLineOf(t, stderr); code != exitOK || !strings.Contains(line, "image "+idA+" is called disk, too") {
		t.Errorf("over another: code %d, %s", code, line)
	}
}

func TestTrashEmpty(t *testing.T) {
	b := newBin(t)
	b.trashed(idA, "a", "")
	b.trashed(idB, "b", "")
	b.made(idC, "shows")
	_, stderr, code := b.run("empty")
	if line := oneLineOf(t, stderr); code != exitUsage || !strings.Contains(line, "2 images of 4.0 KiB would be deleted for good, and nobody can be asked: give --yes") {
		t.Errorf("code %d, %s", code, line)
	}
	for _, c := range []struct {
		args []string
		code exitCode
	}{{[]string{"--older-than", "1h", idA}, exitUsage}, {[]string{"--older-than", "long"}, exitUsage}, {[]string{"--yes", idC}, exitNoImage}} {
		if _, stderr, code := b.run(append([]string{"empty"}, c.args...)...); code != c.code || oneLineOf(t, stderr) == "" {
			t.Errorf("%q: code %d", c.args, code)
		}
	}
	if _, stderr, code := b.run("empty", "--older-than", "1h"); code != exitOK || stderr != "" {
		t.Errorf("of nothing: code %d, %s", code, stderr)
	}
	if got := b.state(idA, idB, idC); got != "lies lies shows" {
		t.Fatalf("after all that: %s", got)
	}
	if out, _, code := b.run("empty", "--yes", "5f3a"); code != exitOK || out != "deleted "+idA+" a\n" {
		t.Errorf("code %d, %q", code, out)
	}
	if _, err := b.api.Update(t.Context(), idB, []image.Change{{Field: "protected", Value: true}}); err != nil {
		t.Fatal(err)
	}
	b.trashed(idA[:35]+"9", "third", "")
	out, stderr, code := b.run("empty", "--older-than", "0", "--yes")
	if line := oneLineOf(t, stderr); code != exitInternal || !strings.Contains(line, "protected") || !strings.Contains(out, "third") {
		t.Errorf("code %d, %q, %s", code, out, line)
	}
	if got := b.state(idA, idA[:35]+"9", idB, idC); got != "gone gone lies shows" {
		t.Errorf("at the end: %s", got)
	}
}

func TestTrashEmptyAsks(t *testing.T) {
	b := newBin(t)
	b.trashed(idA, "a", "")
	keyboard, terminal := newTerminal(t)
	for _, c := range []struct {
		typed string
		code  exitCode
		left  string
	}{
		{"\n", exitInternal, "lies"}, {"no\n", exitInternal, "lies"}, {"\x04", exitInternal, "lies"}, {"y\n", exitOK, "gone"},
	} {
		if _, err := keyboard.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := b.in(terminal, "empty")
		if code != c.code || !strings.HasPrefix(stderr, "Delete 1 image of 2.0 KiB for good? [y/N] ") || b.state(idA) != c.left {
			t.Errorf("%q: code %d, %s, it %s", c.typed, code, stderr, b.state(idA))
		}
	}
	// Ctrl-C ends the waiting for an answer.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := confirm(ctx, streams{In: terminal, Err: io.Discard}, "1 image")
	if codeOf(err) != exitInterruptedBy {
		t.Errorf("interrupted: %v", err)
	}
}

// newTerminal returns both ends of a terminal.
func newTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{terminal, keyboard} {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return keyboard, terminal
}

func TestTrashUsage(t *testing.T) {
	t.Setenv("OS_CLOUD", "")
	for _, c := range []struct {
		args string
		code exitCode
		says string
	}{
		{"trash", exitUsage, "list, restore or empty is missing: see imagefs trash --help"},
		{"trash drop", exitUsage, `unknown command "drop": see imagefs trash --help`},
		{"trash list x", exitUsage, `unexpected argument "x": see imagefs trash list --help`},
		{"trash restore", exitUsage, "the image is missing: see imagefs trash restore --help"},
		{"trash list --memory 1GiB", exitUsage, "unknown flag: --memory: see imagefs trash list --help"},
		{"trash list --endpoint http://127.0.0.1:9", exitUnreachable, "http://127.0.0.1:9"},
		{"trash list --config /nonexistent", exitUsage, "/nonexistent"},
	} {
		_, stderr, code := runHere(strings.Fields(c.args)...)
		if line := oneLineOf(t, stderr); code != c.code || !strings.Contains(line, c.says) {
			t.Errorf("imagefs %s: code %d, %s", c.args, code, line)
		}
	}
}
