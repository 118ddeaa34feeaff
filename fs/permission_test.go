package fs

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/imagefs/imagefs/image"
)

// Whoever opens a file for bytes that are here already is asked for the service's
// permission first, however the file is opened; a file that is emptied has none of them.
func TestPermissionToRead(t *testing.T) {
	h := newHouse()
	img := h.add("secret", "what is cached")
	var refuses atomic.Bool
	h.hook = func(_ context.Context, op, what string) error {
		if op == "may read" && what == img.ID && refuses.Load() {
			return &image.Error{Op: op, Image: what, Kind: image.Forbidden}
		}
		return nil
	}
	m := mountHouse(t, h)
	m.want("secret", "what is cached") // from here on the kernel has its pages
	held, err := os.Open(m.path("secret"))
	wantErr(t, err, nil)
	refuses.Store(true)
	for _, flags := range []int{os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_APPEND} {
		wantErr(t, second(os.OpenFile(m.path("secret"), flags, 0)), syscall.EACCES)
	}
	wantErr(t, second(os.Open(m.path(".by-id/"+img.ID))), syscall.EACCES)
	wantErr(t, syscall.Truncate(m.path("secret"), 6), syscall.EACCES)
	p := make([]byte, 4)
	if _, err := held.ReadAt(p, 0); err != nil || string(p) != "what" {
		t.Errorf("who has it open reads %q, %v", p, err)
	}
	wantErr(t, held.Close(), nil)
	h.mu.Lock()
	drafts := len(h.drafts)
	h.mu.Unlock()
	if drafts != 0 {
		t.Error("a refused open for writing has left a draft")
	}
	m.write("secret", "all of it is new")
	m.settled()
	if m.content("secret") != "all of it is new" {
		t.Errorf("overwritten it is %q", m.content("secret"))
	}
}

// What is gone where its permission is asked for is looked up anew: others may have put
// another image in its place.
func TestPermissionOfWhatIsGone(t *testing.T) {
	for name, open := range map[string]func(path string) error{
		"to read":  func(path string) error { return closed(os.Open(path)) },
		"to write": func(path string) error { return closed(os.OpenFile(path, os.O_RDWR, 0)) },
		"truncate": func(path string) error { return os.Truncate(path, 3) },
	} {
		for replaced, want := range map[bool]error{false: syscall.ENOENT, true: nil} {
			t.Run(fmt.Sprintf("%s, replaced %v", name, replaced), func(t *testing.T) {
				h := newHouse()
				img := h.add("disk", "cached")
				h.hook = func(_ context.Context, op, what string) error {
					if op != "may read" || what != img.ID {
						return nil
					}
					h.drop(img.ID)
					if replaced {
						h.add("disk", "another")
					}
					return missing(op, what)
				}
				m := mountHouse(t, h)
				wantErr(t, open(m.path("disk")), want)
				if h.did("gone", img.ID) != 1 {
					t.Error("the directory was not told that it is gone")
				}
			})
		}
	}
}

func closed(f *os.File, err error) error {
	if err == nil {
		err = f.Close()
	}
	return err
}

// An open waits for the answer no longer than a lookup would.
func TestPermissionIsBounded(t *testing.T) {
	for name, flags := range map[string]uint32{"to read": syscall.O_RDONLY, "to write": syscall.O_RDWR} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				img := h.add("silent", "cached")
				h.hook = func(ctx context.Context, op, what string) error {
					if op != "may read" {
						return nil
					}
					ctx, cancel := context.WithTimeout(ctx, time.Hour)
					defer cancel()
					<-ctx.Done()
					return &image.Error{Op: op, Image: what, Kind: image.KindOf(ctx.Err()), Err: ctx.Err()}
				}
				f := newFS(t.Context(), h.rooms(), Options{}, tuning{})
				gofs.NewNodeFS(f.root, &gofs.Options{})
				n := &node{fs: f, img: image.Pack(img)}
				f.root.AddChild("silent", f.root.NewInode(t.Context(), n, gofs.StableAttr{Mode: syscall.S_IFREG}), true)
				began := time.Now()
				_, _, errno := n.Open(t.Context(), flags)
				if took := time.Since(began); errno != syscall.EIO || took != directoryBound {
					t.Errorf("%v after %v", errno, took)
				}
			})
		})
	}
}
