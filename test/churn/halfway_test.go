package churn

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
	"github.com/imagefs/imagefs/test/fault"
)

// An mv over an image fails when its image has the new name already, and that cannot be
// taken back. What is written to the two names afterwards are two files.
func TestRenamedHalfway(t *testing.T) {
	root := t.TempDir()
	s := daemon.Serve(t, filepath.Join(root, "served"))
	proxy := before(t, s)
	var ids []string
	for _, name := range []string{"from", "to"} {
		img, err := s.Upload(t.Context(), image.New{Name: name}, []byte("the first "+name))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, img.ID)
	}
	d := daemon.Run(t, binary, root, "--endpoint", proxy.URL(), "--writeback")
	path := func(name string) string { return filepath.Join(d.Mountpoint, name) }
	broken := fault.Status(http.StatusInternalServerError, "Something broke.")
	err := proxy.Set(
		fault.Rule{Kind: fault.Members, About: ids[0], Fault: fault.InvalidJSON, Times: fault.Always},
		fault.Rule{Kind: fault.Update, Fault: broken, Skip: 1, Times: fault.Always})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path("from"), path("to")); err == nil {
		t.Fatal("the rename has succeeded")
	}
	if err := proxy.Set(fault.Rule{Kind: fault.Create, Fault: broken, Times: fault.Always}); err != nil { // the files wait
		t.Fatal(err)
	}
	want := map[string][]byte{"from": []byte("written to the old name"), "to": []byte("and to the new one")}
	for _, name := range []string{"from", "to"} {
		if err := os.WriteFile(path(name), want[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	same := func() {
		for name, data := range want {
			if got, err := os.ReadFile(path(name)); string(got) != string(data) {
				t.Errorf("%s reads as %q, %v", name, got, err)
			}
		}
	}
	same()
	if err := proxy.Set(); err != nil {
		t.Fatal(err)
	}
	if err := d.Settled(0); err != nil {
		t.Fatal(err)
	}
	same()
	if err := s.Holds(t.Context(), want); err != nil {
		t.Error(err)
	}
}
