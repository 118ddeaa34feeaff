package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"sync"
)

const (
	// rangelessImages is how many images are remembered whose store serves no
	// ranges, at about 100 bytes each.
	rangelessImages = 4096
	// rangelessLasts is how long: images move between stores.
	rangelessLasts = time.Hour
)

// rangeless remembers the images whose store serves whole streams only.
type rangeless struct {
	mu    sync.Mutex // guards the field below
	found *simplelru.LRU[string, time.Time]
}

func newRangeless() *rangeless {
	found, err := simplelru.NewLRU[string, time.Time](rangelessImages, nil)
	if err != nil { // only a size that is not positive is refused
		panic(err)
	}
	return &rangeless{found: found}
}

func (r *rangeless) remember(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Add(id, time.Now())
}

func (r *rangeless) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Remove(id)
}

func (r *rangeless) knows(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.found.Get(id)
	return ok && time.Since(at) < rangelessLasts
}

// checkContentRange makes sure that a 206 has the bytes [from, end) of total.
func checkContentRange(header string, from, end, total int64) error {
	bad := fmt.Errorf("asked for bytes %d-%d/%d, the answer has %.80q", from, end-1, total, header)
	rest, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return bad
	}
	span, size, ok := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 {
		return bad
	}
	is := func(text string, want int64) bool {
		n, err := strconv.ParseInt(text, 10, 64)
		return err == nil && n == want
	}
	if !is(first, from) || !is(last, end-1) || !is(size, total) {
		return bad
	}
	return nil
}
