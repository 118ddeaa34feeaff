package test

import (
	"os"
	"testing"
)

// What was written is not downloaded: the draft's file becomes the cache's copy, for
// this mount and the next, and is compared with the image's hash.
func TestReadBackWithoutRequests(t *testing.T) {
	w, s := newWire(t, services[0])
	m := mountOn(t, s)
	data := noise(170, 5<<20+4711)
	name, over := s.cleanName(t, "adopted.img"), s.cleanName(t, "adopted-over.img")
	for i, c := range []struct {
		data  []byte
		entry string
	}{{noise(171, 1<<20), over}, {data, name}, {data, over}} {
		run(t, "cp", file(t, "source", c.data), m.path(c.entry))
		m.until("the copy to be verified", func() bool { return m.snapshot().Cache.Disk.Verified == int64(i+1) })
	}
	for range 2 {
		for _, entry := range []string{name, over} {
			if got, err := os.ReadFile(m.path(entry)); err != nil || string(got) != string(data) {
				t.Errorf("%s reads as %d bytes, %v", entry, len(got), err)
			}
		}
		for _, e := range w.exchanges() {
			if e.span != "" {
				t.Errorf("%s: %s of what was just written", e.what, e.span)
			}
		}
		m = m.again()
	}
}
