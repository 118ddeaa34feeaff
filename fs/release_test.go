package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What a release commits, no program can be told of: its close has succeeded. So what
// passes is tried again, as where closes are answered before their commits, and only what
// the service refuses is kept in staging.
func TestReleaseTriesAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  int
		op     string
		script string // of a child that has the file, and closes it last
		want   string
	}{
		{"new", os.O_CREATE, "commit empty", "read go", ""},
		{"disk", os.O_TRUNC, "commit", "read go", ""},
		{"disk", 0, "commit", "read go; printf abc >&3", "abc3456789"},
	} {
		for _, kind := range []image.Kind{image.Unreachable, image.Quota} {
			t.Run(c.op+" "+c.want+" "+kind.String(), func(t *testing.T) {
				h, first := newHouse(), &failing{op: c.op, kind: kind}
				behind := &failing{op: "behind", kind: kind}
				first.on.Store(true)
				behind.on.Store(true)
				h.hook = func(ctx context.Context, op, what string) error {
					return errors.Join(first.hook(ctx, op, what), behind.hook(ctx, op, what))
				}
				h.add("disk", "0123456789")
				m := mountHouse(t, h, quickly, func(o *Options) { o.Writeback = false })
				f := must(os.OpenFile(m.path(c.name), os.O_RDWR|c.flags, 0o644))
				cmd := exec.Command("sh", "-c", c.script)
				cmd.ExtraFiles = []*os.File{f}
				goOn := must(cmd.StdinPipe())
				if err := errors.Join(cmd.Start(), f.Close()); err != nil {
					t.Fatal(err)
				}
				must(io.WriteString(goOn, "go\n"))
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
				if kind == image.Quota {
					m.eventually("the draft to be kept", func() bool { return m.ends()["failed"] == 1 })
					return
				}
				m.eventually("several tries", func() bool { return behind.seen.Load() > 3 })
				m.want(c.name, c.want)
				if waits := m.server.Waiting(); len(waits) != 1 || waits[0].Entry != c.name || waits[0].Err == nil {
					t.Errorf("it waits: %+v", waits)
				}
				behind.on.Store(false)
				m.settled()
				m.want(c.name, c.want)
				if got := m.content(c.name); got != c.want || m.the(c.name).ID == "" || m.ends()["failed"] != 0 {
					t.Errorf("the image is %q; drafts ended %v", got, m.ends())
				}
				if n := strings.Count(m.logged.text(), "waits for its upload"); n != 1 {
					t.Errorf("%d lines of the log tell of one failure", n)
				}
			})
		}
	}
}

// Whoever opens a file of which a release could not commit what is there goes on with
// its bytes.
func TestReleaseFailedOpenedAgain(t *testing.T) {
	h, first := newHouse(), &failing{op: "commit empty", kind: image.Unreachable}
	first.on.Store(true)
	h.hook = first.hook
	m := mountHouse(t, h)
	if err := must(os.Create(m.path("new"))).Close(); err != nil {
		t.Fatal(err)
	}
	m.eventually("it to wait", func() bool { return len(m.server.Waiting()) == 1 })
	m.write("new", "late")
	m.settled()
	if m.content("new") != "late" || m.count() != 1 {
		t.Errorf("the image is %q, of %d", m.content("new"), m.count())
	}
}

// Nor can it be told of what the kernel closes for it when it has ended.
func TestCloseAtExitTriesAgain(t *testing.T) {
	for _, kind := range []image.Kind{image.Unreachable, image.Quota} {
		t.Run(kind.String(), func(t *testing.T) {
			h, first, behind := newHouse(), &failing{op: "commit", kind: kind}, &failing{op: "behind", kind: kind}
			first.on.Store(true)
			behind.on.Store(true)
			h.hook = func(ctx context.Context, op, what string) error {
				return errors.Join(first.hook(ctx, op, what), behind.hook(ctx, op, what))
			}
			m := mountHouse(t, h, quickly, func(o *Options) { o.Writeback = false })
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), endsOpenEnv+"="+m.path("new"))
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			if kind == image.Quota {
				m.eventually("the draft to be kept", func() bool { return m.ends()["failed"] == 1 })
				return
			}
			m.eventually("several tries", func() bool { return behind.seen.Load() > 3 || m.ends()["failed"] > 0 })
			m.want("new", "data")
			behind.on.Store(false)
			m.settled()
			if m.content("new") != "data" || m.ends()["failed"] != 0 {
				t.Errorf("the image is %q; drafts ended %v", m.content("new"), m.ends())
			}
		})
	}
}

// A try that gives way to a close which is uploading keeps no other file from its own.
func TestOvertakenTryTakesNoPlace(t *testing.T) {
	h, first, upload := newHouse(), &failing{op: "commit empty", kind: image.Unreachable}, newGate("commit", "busy")
	first.on.Store(true)
	trying := make(chan struct{})
	begun := sync.OnceFunc(func() { close(trying) })
	h.hook = func(ctx context.Context, op, what string) error {
		if op == "behind" && what == "busy" {
			begun()
			<-ctx.Done()
			return ctx.Err()
		}
		return errors.Join(first.hook(ctx, op, what), upload.hold(ctx, op, what))
	}
	m := mountHouse(t, h, quickly, func(o *Options) { o.Writeback, o.Behind = false, 1 })
	empty := func(name string) {
		if err := must(os.Create(m.path(name))).Close(); err != nil {
			t.Fatal(err)
		}
	}
	empty("busy")
	<-trying
	written := soon(func() error { return os.WriteFile(m.path("busy"), []byte("data"), 0o644) })
	upload.wait(t)
	empty("other")
	m.eventually("the other to be uploaded", func() bool { return m.did("behind", "other") == 1 })
	close(upload.open)
	if err := result(t, written); err != nil {
		t.Error(err)
	}
	m.settled()
}
