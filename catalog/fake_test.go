package catalog

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imagefs/imagefs/image"
)

// service is an Image service in memory. It can be changed behind the catalog's
// back, delayed and failed.
type service struct {
	mu       sync.Mutex
	images   map[string]image.Image
	ids      []string        // of images, sorted; nil after one has come or gone
	accepted map[string]bool // shares that the listing holds
	members  map[string][]image.Member
	latency  time.Duration // of each page and each other request, half before and half after its effect
	passes   time.Duration // of each page of the whole listing, beside that
	page     int           // images in one page
	again    int           // every so many pages come twice; 0: none
	sent     int           // pages
	broken   error         // what the whole listing fails with after its first page
	fail     map[string]error
	omitted  map[string]bool // ids whose records nobody can read where they are listed
	hung     map[string]bool // requests by their first word that are not answered at all
	requests []string        // "list", "name <name>", "get <id>", "update <id>", "delete <id>", "members <id>", "share <id> <project>"
}

func newService(images ...image.Image) *service {
	s := &service{images: map[string]image.Image{}, accepted: map[string]bool{}, members: map[string][]image.Member{}, page: 2, fail: map[string]error{}}
	for _, img := range images {
		s.images[img.ID] = img
	}
	return s
}

// enter notes a request, waits, and returns the failure that was asked for: of
// the request, of its first word, or of all ("").
func (s *service) enter(ctx context.Context, request string) error {
	s.mu.Lock()
	s.requests = append(s.requests, request)
	verb, _, _ := strings.Cut(request, " ")
	err := s.fail[""]
	for _, key := range []string{verb, request} {
		if s.fail[key] != nil {
			err = s.fail[key]
		}
	}
	hung := s.hung[verb]
	s.mu.Unlock()
	if hung {
		<-ctx.Done()
		return ctx.Err()
	}
	if waited := s.pause(ctx); waited != nil {
		return waited
	}
	return err
}

func (s *service) pause(ctx context.Context) error {
	s.mu.Lock()
	latency := s.latency / 2
	s.mu.Unlock()
	if latency == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(latency):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lists reports whether the service's listing holds an image.
func (s *service) lists(img image.Image) bool {
	return !img.Hidden && img.Status != image.StatusDeleted &&
		(img.Owner == project || img.Visibility == image.VisibilityPublic || img.Visibility == image.VisibilityPrivate ||
			img.Visibility == image.VisibilityShared && s.accepted[img.ID])
}

// chooses reports whether the service's answer to the query holds an image.
func (s *service) chooses(q Query, img image.Image) bool {
	if q.Name != nil && !strings.EqualFold(img.Name, *q.Name) || img.UpdatedAt.Before(q.UpdatedSince) {
		return false
	}
	unhidden := img
	unhidden.Hidden = false
	return s.lists(img) || !q.UpdatedSince.IsZero() && s.lists(unhidden)
}

// ListImages pages by id, as markers do: each page is read when it is asked for.
// A filter matches without case, as on MariaDB.
func (s *service) ListImages(ctx context.Context, q Query, yield func([]image.Image) error) (whole bool, err error) {
	request := "list"
	whole = true
	switch {
	case q.Name != nil:
		request = "name " + *q.Name
	case !q.UpdatedSince.IsZero():
		request = "since"
	}
	marker := ""
	for first := true; ; first = false {
		var err error
		if first {
			err = s.enter(ctx, request)
		} else {
			err = s.pause(ctx)
		}
		if err == nil && request == "list" {
			err = s.passing(ctx, !first)
		}
		if err != nil {
			return false, err
		}
		page, omitted := s.pageAfter(marker, q)
		if err := s.pause(ctx); err != nil {
			return false, err
		}
		if len(page) == 0 {
			return whole, nil
		}
		marker = page[len(page)-1].ID
		if whole = whole && len(omitted) == 0; !whole && q.Name != nil {
			return false, failure(image.UnexpectedAnswer)
		}
		page = slices.DeleteFunc(page, func(img image.Image) bool { return omitted[img.ID] })
		for range s.times() {
			if err := yield(slices.Clone(page)); err != nil {
				return false, err
			}
		}
	}
}

// pageAfter returns the page behind the marker, and which of its records nobody can read.
func (s *service) pageAfter(marker string, q Query) (page []image.Image, omitted map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	omitted = map[string]bool{}
	for _, id := range s.sorted() {
		img := s.images[id]
		if id > marker && s.chooses(q, img) && len(page) < s.page {
			page = append(page, img)
			if s.omitted[id] {
				omitted[id] = true
			}
		}
	}
	return page, omitted
}

// sorted returns all ids in order. The caller holds mu.
func (s *service) sorted() []string {
	if s.ids == nil {
		s.ids = slices.Sorted(maps.Keys(s.images))
	}
	return s.ids
}

// passing waits as a page of the whole listing does, and fails where later ones do.
func (s *service) passing(ctx context.Context, later bool) error {
	s.mu.Lock()
	wait, broken := s.passes, s.broken
	s.mu.Unlock()
	if broken != nil && later {
		return broken
	}
	if wait == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// times is how often the next page comes.
func (s *service) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again == 0 {
		return 1
	}
	if s.sent++; s.sent%s.again == 0 {
		return 2
	}
	return 1
}

func (s *service) Get(ctx context.Context, id string) (image.Image, error) {
	if err := s.enter(ctx, "get "+id); err != nil {
		return image.Image{}, err
	}
	s.mu.Lock()
	img, ok := s.images[id]
	s.mu.Unlock()
	if !ok {
		return image.Image{}, &image.Error{Op: "get", Image: id, Kind: image.NotFound}
	}
	return img, s.pause(ctx)
}

func (s *service) Update(ctx context.Context, id string, changes []image.Change) (image.Image, error) {
	if err := s.enter(ctx, "update "+id); err != nil {
		return image.Image{}, err
	}
	s.mu.Lock()
	img, ok := s.images[id]
	if !ok {
		s.mu.Unlock()
		return image.Image{}, &image.Error{Op: "update", Image: id, Kind: image.NotFound}
	}
	img = img.Clone()
	for _, change := range changes {
		switch {
		case change.Property && change.Value == nil:
			delete(img.Properties, change.Field)
		case change.Property:
			if img.Properties == nil {
				img.Properties = map[string]string{}
			}
			img.Properties[change.Field] = change.Value.(string)
		case change.Field == "name":
			img.Name = change.Value.(string)
		case change.Field == "os_hidden":
			img.Hidden = change.Value.(bool)
		case change.Field == "visibility":
			img.Visibility = image.Visibility(change.Value.(string))
		case change.Field == "owner":
			img.Owner = change.Value.(string)
		case change.Field == "tags":
			img.Tags = change.Value.([]string)
		case change.Field == "min_disk":
			img.MinDisk = change.Value.(int64)
		case change.Field == "min_ram":
			img.MinRAM = change.Value.(int64)
		default:
			panic("the fake cannot change " + change.Field)
		}
	}
	img.UpdatedAt = time.Now().Truncate(time.Second)
	s.images[id] = img
	s.mu.Unlock()
	return img, s.pause(ctx)
}

// Remove deletes: whether a real one would hide makes no difference here.
func (s *service) Remove(ctx context.Context, id, _ string) error {
	if err := s.enter(ctx, "delete "+id); err != nil {
		return err
	}
	s.mu.Lock()
	img, ok := s.images[id]
	if ok && !img.Protected {
		delete(s.images, id)
		s.ids = nil
	}
	s.mu.Unlock()
	switch {
	case !ok:
		return &image.Error{Op: "delete", Image: id, Kind: image.NotFound}
	case img.Protected:
		return &image.Error{Op: "delete", Image: id, Kind: image.Protected}
	}
	return s.pause(ctx)
}

// set and drop change the service behind the catalog's back.
func (s *service) set(img image.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.images[img.ID]; !there {
		s.ids = nil
	}
	s.images[img.ID] = img
}

func (s *service) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.images, id)
	s.ids = nil
}

func (s *service) slow(latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency
}

func (s *service) failing(key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[key] = err
}

// change changes how the service behaves.
func (s *service) change(f func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// took returns the requests since the last call.
func (s *service) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// want is what the root shows, by the specification.
func (s *service) want() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var listed []image.Image
	for _, img := range s.images {
		if s.lists(img) {
			listed = append(listed, img)
		}
	}
	return spec(listed, project)
}
