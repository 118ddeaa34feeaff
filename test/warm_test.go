package test

import (
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// What warm has loaded is read without a request for data, also by the next mount; what is
// damaged meanwhile cache verify finds, and what is dropped is fetched anew.
func TestWarm(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		data := noise(233, 3<<20+12345)
		img := s.upload(t, image.New{Name: "warmed.img"}, data)
		m := mountOn(t, s)
		if got := run(t, binary, "warm", m.path("warmed.img")); got != "warmed.img: 3.0 MiB of 3.0 MiB in the cache\n" {
			t.Errorf("%q", got)
		}
		if moved := m.snapshot().Cache.Fetched; moved != int64(len(data)) {
			t.Errorf("%d bytes were fetched", moved)
		}
		cache := m.cache
		m = m.again()
		m.cache = cache
		direct(t, m.path("warmed.img"), data)
		if moved := m.snapshot().Cache.Fetched; moved != 0 {
			t.Errorf("%d bytes were fetched of what was loaded", moved)
		}
		if got := run(t, binary, "cache", "verify", m.dir); !strings.Contains(got, "warmed.img: 25 blocks intact, whole, and has its hash\n") {
			t.Errorf("%q", got)
		}
		m.eachCached(img.ID, ".data", func(t *testing.T, path string) { overwrite(t, path, 1<<20+77, []byte("not the image's")) })
		if failed := fails(t, binary, "cache", "verify", m.dir); failed.code != 1 {
			t.Errorf("damaged: %v", failed)
		}
		direct(t, m.path("warmed.img"), data)
		run(t, binary, "cache", "drop", m.path("warmed.img"))
		if got := m.snapshot().Cache.Disk.Bytes; got != 0 {
			t.Errorf("%d bytes are left", got)
		}
		direct(t, m.path("warmed.img"), data)
	})
}
