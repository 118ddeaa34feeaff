package test

import (
	"os"
	"testing"
)

// What was written is not downloaded: the draft's file becomes the cache's copy, for
// this mount and the next, and is compared with the image's hash. Each mount asks once
// whether it may read it.
func TestReadBackIsNotDownloaded(t *testing.T) {
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
			for range 2 {
				if got, err := os.ReadFile(m.path(entry)); err != nil || string(got) != string(data) {
					t.Errorf("%s reads as %d bytes, %v", entry, len(got), err)
				}
			}
		}
		asked := 0
		for _, e := range w.exchanges() {
			switch e.span {
			case "":
			case asksPermission:
				asked++
			default:
				t.Errorf("%s: %s of what was just written", e.what, e.span)
			}
		}
		if asked != 2 {
			t.Errorf("asked %d times whether two images may be read, want 2", asked)
		}
		m = m.again()
	}
}
