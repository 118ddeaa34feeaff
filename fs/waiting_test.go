package fs

import (
	"context"
	"os"
	"testing"
)

// A file is being written from its first change until its upload begins.
func TestWriting(t *testing.T) {
	h, began, goOn := newHouse(), make(chan struct{}), make(chan struct{})
	h.hook = func(_ context.Context, op, _ string) error {
		if op == "commit" {
			close(began)
			<-goOn
		}
		return nil
	}
	m := mountHouse(t, h)
	wanted := func(when string, size int64, names ...string) {
		t.Helper()
		all := m.server.Writing()
		if len(all) != len(names) {
			t.Fatalf("%s: %+v, want %q", when, all, names)
		}
		for i, w := range all {
			if w.Entry != names[i] || w.Size != size || w.Draft == "" || w.Path == "" {
				t.Errorf("%s: %+v", when, w)
			}
		}
	}
	wanted("before", 0)
	f := must(os.Create(m.path("new")))
	must(f.WriteString("abc"))
	wanted("written", 3, "new")
	if err := os.Rename(m.path("new"), m.path("renamed")); err != nil {
		t.Fatal(err)
	}
	wanted("renamed", 3, "renamed")
	closed := make(chan error)
	go func() { closed <- f.Close() }()
	<-began
	wanted("uploaded", 0)
	close(goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wanted("closed", 0)
	f = must(os.Open(m.path("renamed")))
	wanted("read", 0)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
