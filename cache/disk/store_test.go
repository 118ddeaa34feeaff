package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/imagefs/imagefs/image"
)

func TestRestart(t *testing.T) {
	const bs = 4096
	data := make([]byte, 10*bs+100)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	h := sha256.Sum256(data)
	img := image.Image{ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", Size: int64(len(data)), HashAlgo: "sha256", HashValue: hex.EncodeToString(h[:])}
	dir := t.TempDir() + "/x"
	s, err := Open(Options{Dir: dir, Limit: 1 << 20, BlockSize: bs})
	if err != nil {
		t.Fatal(err)
	}
	i := s.Image(img.Key("s"), img)
	for b := range int64(11) {
		i.Write(b, data[b*bs:min(int64(len(data)), (b+1)*bs)])
	}
	p := make([]byte, bs)
	for b := range int64(10) {
		if !i.Read(b, p) || !bytes.Equal(p, data[b*bs:][:bs]) {
			t.Fatal(b)
		}
	}
	for s.Stats().Verified == 0 {
		time.Sleep(time.Millisecond)
	}
	f, rel, ok := i.Pin()
	if !ok {
		t.Fatal("no pin")
	}
	got, _ := io.ReadAll(f)
	if !bytes.Equal(got, data) {
		t.Fatal("differs")
	}
	rel()
	i.Close()
	t.Logf("%+v", s.Stats())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(Options{Dir: dir, Limit: 1 << 20, BlockSize: bs})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s.Stats())
	if _, err := Open(Options{Dir: dir, Limit: 1 << 20, BlockSize: bs}); err == nil {
		t.Fatal("twice")
	} else {
		t.Log(err)
	}
	i = s.Image(img.Key("s"), img)
	_, rel, ok = i.Pin()
	if !ok {
		t.Fatal("no pin")
	}
	rel()
	i.Drop()
	i.Close()
	t.Logf("%+v", s.Stats())
	s.Close()
}
