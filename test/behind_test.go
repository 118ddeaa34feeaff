package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// behindTTL is a short --list-ttl, so that the tests need not wait long.
var behindTTL = []string{"--list-ttl", "500ms"}

// Others change images while a mount is looked at all the time. When they are done it
// shows what the service has: every name, size and time, and the bytes of each.
func TestBehindTheBack(t *testing.T) {
	long, slow := newSlowListing(t, inProcess(t, t.TempDir()))
	slow.name = "a listing that takes long"
	for _, c := range []struct {
		service service
		changes int
	}{{inProcess(t, t.TempDir()), 10_000}, {slow, 2_000}, {services[1], 200}} {
		t.Run(c.service.name, func(t *testing.T) {
			b := &behind{t: t, s: c.service, prefix: "behind-"}
			if c.service.name == "glance" {
				b.token = strings.TrimSpace(openstack(t, "token", "issue", "-f", "value", "-c", "id"))
			}
			m := mountOn(t, c.service, behindTTL...)
			t.Cleanup(b.cleanUp)
			ctx, cancel := context.WithCancel(t.Context())
			var looking, changing sync.WaitGroup
			looking.Go(func() { b.look(ctx, m) })
			const hands = 4
			for i := range hands {
				changing.Go(func() { b.change(rand.New(rand.NewPCG(1, uint64(i))), c.changes/hands) })
			}
			changing.Wait()
			cancel()
			looking.Wait()
			if t.Failed() {
				return
			}
			for name, e := range agree(t, b.prefix, m) {
				got, err := os.ReadFile(m.path(name))
				if b.deactivated(e.ID) {
					if !errors.Is(err, syscall.EACCES) && !bytes.Equal(got, b.bytes(e)) { // what is cached may be read
						t.Errorf("%s is deactivated and reads %d bytes, %v", name, len(got), err)
					}
				} else if err != nil || !bytes.Equal(got, b.bytes(e)) {
					t.Errorf("%s reads %d bytes, %v, want the %d of %s", name, len(got), err, e.Size, e.ID)
				}
			}
			if whole, since := long.answered(); c.service.name == slow.name && since <= whole {
				t.Errorf("%d questions for what was changed, and %d whole listings", since, whole)
			}
		})
	}
}

// behind changes images behind the mount's back.
type behind struct {
	t      *testing.T
	s      service
	token  string
	prefix string

	mu   sync.Mutex // guards the fields below
	made []*victim
}

// victim is one image that is changed, by one hand.
type victim struct {
	id          string
	data        bool
	deactivated bool
	hidden      bool
	gone        bool
}

const (
	behindNames = 400 // so few that there are twins
	behindMost  = 300 // images of one hand
)

func (b *behind) name(r *rand.Rand) string {
	return fmt.Sprintf("%s%03d.img", b.prefix, r.IntN(behindNames))
}

// bytes are those of an image, by its id.
func (b *behind) bytes(e entry) []byte {
	return bytes.Repeat([]byte(e.ID), 100)[:e.Size]
}

// change makes so many random changes.
func (b *behind) change(r *rand.Rand, changes int) {
	var mine []*victim
	for range changes {
		var err error
		if what := r.IntN(100); len(mine) == 0 || what < 25 && len(mine) < behindMost {
			var v *victim
			v, err = b.create(b.name(r), r.IntN(2) == 0)
			mine = append(mine, v)
		} else {
			v := mine[r.IntN(len(mine))]
			err = b.changeOne(r, v, what, &mine)
			mine = slices.DeleteFunc(mine, func(v *victim) bool { return v.gone })
		}
		if err != nil {
			b.t.Errorf("changing images: %v", err)
			return
		}
	}
}

func (b *behind) changeOne(r *rand.Rand, v *victim, what int, mine *[]*victim) error {
	ctx := b.t.Context()
	update := func(field string, value any) error {
		_, err := b.s.api.Update(ctx, v.id, []image.Change{{Field: field, Value: value}})
		return err
	}
	switch {
	case what < 40:
		v.gone = true
		return b.s.api.Delete(ctx, v.id)
	case what < 60:
		return update("name", b.name(r))
	case what < 70: // by another of its name
		img, err := b.s.api.Get(ctx, v.id)
		if err != nil {
			return err
		}
		other, err := b.create(img.Name, true)
		if err != nil {
			return err
		}
		*mine = append(*mine, other)
		v.gone = true
		return b.s.api.Delete(ctx, v.id)
	case what < 80:
		v.hidden = !v.hidden
		return update("os_hidden", v.hidden)
	case what < 90 && v.data:
		b.mu.Lock()
		v.deactivated = !v.deactivated
		action := map[bool]string{true: "deactivate", false: "reactivate"}[v.deactivated]
		b.mu.Unlock()
		return b.s.act(b.t, b.token, v.id, action)
	default:
		return update("visibility", []string{"private", "shared", "community"}[r.IntN(3)])
	}
}

func (b *behind) create(name string, data bool) (*victim, error) {
	ctx := b.t.Context()
	img, err := b.s.api.Create(ctx, image.New{Name: name, DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil {
		return nil, err
	}
	v := &victim{id: img.ID, data: data}
	b.mu.Lock()
	b.made = append(b.made, v)
	b.mu.Unlock()
	if data {
		content := b.bytes(entry{ID: img.ID, Size: 1000 + int64(img.ID[0])})
		err = b.s.api.Upload(ctx, img.ID, int64(len(content)), func() io.Reader { return bytes.NewReader(content) })
	}
	return v, err
}

func (b *behind) deactivated(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.made, func(v *victim) bool { return v.id == id && v.deactivated })
}

func (b *behind) cleanUp() {
	for _, v := range b.made {
		if err := b.s.api.Delete(context.WithoutCancel(b.t.Context()), v.id); err != nil && !image.Is(err, image.NotFound) {
			b.t.Errorf("cleaning up: %v", err)
		}
	}
}

// look lists, stats and reads what is there, so that the kernel remembers it.
func (b *behind) look(ctx context.Context, m *mount) {
	r := rand.New(rand.NewPCG(2, 0))
	// What may happen to an entry that was just listed.
	moved := func(err error, more ...error) bool {
		for _, e := range append(more, syscall.ENOENT, syscall.ESTALE) {
			if errors.Is(err, e) {
				return true
			}
		}
		return err == nil
	}
	for ctx.Err() == nil {
		d, err := os.Open(m.dir)
		if err != nil {
			b.t.Errorf("opening the directory: %v", err)
			return
		}
		names, err := d.Readdirnames(-1)
		d.Close()
		if err != nil {
			b.t.Errorf("listing: %v", err)
			return
		}
		slices.Sort(names)
		if once := slices.Compact(slices.Clone(names)); len(once) != len(names) {
			b.t.Errorf("of %d entries some are listed twice", len(names))
		}
		for _, name := range names {
			if !strings.HasPrefix(name, b.prefix) {
				continue
			}
			if _, err := os.Lstat(m.path(name)); !moved(err) {
				b.t.Errorf("stat: %v", err)
			}
			if r.IntN(20) == 0 {
				if _, err := os.ReadFile(m.path(name)); !moved(err, syscall.EACCES, syscall.EBUSY) {
					b.t.Errorf("read: %v", err)
				}
			}
		}
	}
}

// Who has a file open goes on with its bytes, whatever others do with the image; and
// what a name stands for is seen after the TTL, also where the kernel knew it.
func TestBehindAnOpenHandle(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		update := func(field string, value any) func(*testing.T, image.Image) {
			return func(t *testing.T, img image.Image) {
				if _, err := s.api.Update(t.Context(), img.ID, []image.Change{{Field: field, Value: value}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		remove := func(t *testing.T, img image.Image) {
			if err := s.api.Delete(t.Context(), img.ID); err != nil {
				t.Fatal(err)
			}
		}
		data, other := noise(170, 600_000), noise(171, 70_000)
		m := mountOn(t, s, behindTTL...)
		for _, c := range []struct {
			what   string
			change func(*testing.T, image.Image)
			read   int64 // bytes that are read before
			after  int64 // the size that stat then tells; -1: there is no such entry
		}{
			{"rename", update("name", s.cleanName(t, "handle-renamed.img")), 1000, -1},
			{"hide", update("os_hidden", true), 1000, -1},
			{"make private", update("visibility", "private"), 1000, 600_000},
			{"delete", remove, 600_000, -1},
			{"replace", func(t *testing.T, img image.Image) {
				remove(t, img)
				s.upload(t, image.New{Name: img.Name}, other)
			}, 600_000, 70_000},
		} {
			t.Run(c.what, func(t *testing.T) {
				name := "handle-" + strings.ReplaceAll(c.what, " ", "-") + ".img"
				img := s.upload(t, image.New{Name: name}, data)
				m.until("the image to be there", func() bool {
					st, err := os.Stat(m.path(name))
					return err == nil && st.Size() == int64(len(data))
				})
				f, err := os.Open(m.path(name))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := io.ReadFull(f, make([]byte, c.read)); err != nil {
					t.Fatal(err)
				}
				c.change(t, img)
				m.until("stat to tell of it", func() bool {
					st, err := os.Stat(m.path(name))
					if c.after < 0 {
						return errors.Is(err, syscall.ENOENT)
					}
					return err == nil && st.Size() == c.after
				})
				got := make([]byte, len(data))
				if n, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes and %v through the handle", n, err)
				}
				if st, err := f.Stat(); err != nil || st.Size() != int64(len(data)) {
					t.Errorf("fstat: %v, %v", st, err)
				}
				if c.after == int64(len(other)) {
					if got, err := os.ReadFile(m.path(name)); err != nil || !bytes.Equal(got, other) {
						t.Errorf("the other image reads %d bytes, %v", len(got), err)
					}
				}
			})
		}
	})
}
