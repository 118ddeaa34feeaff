package staging

import (
	"context"
	"testing"
)

func TestSmoke(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir() + "/x", Service: "http://a"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Create(Spec{Name: "n", Entry: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt(context.Background(), []byte("hello"), 3); err != nil {
		t.Fatal(err)
	}
	sn, err := d.BeginCommit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 8)
	if n, err := sn.ReadAt(context.Background(), p, 0); n != 8 || err != nil || string(p) != "\x00\x00\x00hello" {
		t.Fatal(n, err, p)
	}
	sn.End(true)
	if err := d.Keep(StateFailed, "x\ny"); err != nil {
		t.Fatal(err)
	}
	k, err := s.Kept()
	t.Logf("%+v %v", k, err)
	if len(k) != 1 || k[0].Damage != "" {
		t.Fatal(k)
	}
}
