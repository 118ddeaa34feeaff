package image

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestKey(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	base := Image{ID: "i", Size: 5, CreatedAt: at}
	with := func(f func(*Image)) Image { i := base; f(&i); return i }
	for _, c := range []struct {
		name, want string
		img        Image
	}{
		{"a hash", "sha512:abc", with(func(i *Image) { i.HashAlgo, i.HashValue, i.Checksum = "sha512", "abc", "def" })},
		{"md5 only", "md5:def", with(func(i *Image) { i.Checksum = "def" })},
		{"no hash", "2026-01-02T03:04:05Z/5", base},
		{"no hash, another zone", "2026-01-02T03:04:05Z/5", with(func(i *Image) { i.CreatedAt = at.In(time.FixedZone("east", 7200)) })},
	} {
		if got := c.img.Key("http://s"); got != (Key{Service: "http://s", ID: "i", Version: c.want}) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	keys := map[Key]string{}
	for name, img := range map[string]Image{
		"base": base, "size": with(func(i *Image) { i.Size++ }), "id": with(func(i *Image) { i.ID = "j" }),
		"time": with(func(i *Image) { i.CreatedAt = at.Add(time.Second) }), "hash": with(func(i *Image) { i.HashValue = "x" }),
	} {
		if other, twice := keys[img.Key("s")]; twice {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[img.Key("s")] = name
	}
	renamed := with(func(i *Image) { i.Name, i.UpdatedAt = "other", at.Add(time.Hour) })
	if renamed.Key("s") != base.Key("s") {
		t.Error("an edit of the record gives the bytes another key")
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		in   Span
		size int64
		want Span
	}{
		{Span{0, 10}, 10, Span{0, 10}},
		{Span{0, 11}, 10, Span{0, 10}},
		{Span{9, 5}, 10, Span{9, 1}},
		{Span{10, 5}, 10, Span{10, 0}},
		{Span{11, 5}, 10, Span{10, 0}},
		{Span{3, 0}, 10, Span{3, 0}},
		{Span{3, -1}, 10, Span{3, 0}},
		{Span{0, 1}, 0, Span{0, 0}},
	} {
		if got := c.in.Clip(c.size); got != c.want {
			t.Errorf("%+v of %d: %+v, want %+v", c.in, c.size, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := Span{rapid.Int64Min(0).Draw(t, "off"), rapid.Int64().Draw(t, "len")}
		size := rapid.Int64Min(0).Draw(t, "size")
		got := s.Clip(size)
		if got.Off < 0 || got.Len < 0 || got.End() > size && got.Len > 0 || got.Off > size {
			t.Fatalf("%+v of %d: %+v", s, size, got)
		}
		if got.Clip(size) != got {
			t.Fatalf("%+v of %d: clipped again it changes", s, size)
		}
	})
}
