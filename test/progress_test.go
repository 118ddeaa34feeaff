package test

import (
	"fmt"
	"os/exec"
	"testing"
)

// status tells how far uploads are. At most four run at once; the others wait for
// their turn and say so.
func TestUploadProgress(t *testing.T) {
	g, s := newGate(t, services[0])
	m := mountOn(t, s)
	const files, atOnce = 6, 4
	const size = 16 << 20 // more than sockets hold
	g.holdUploads()
	writers := map[string]*exec.Cmd{}
	for i := range files {
		name := s.cleanName(t, fmt.Sprintf("progress-%d.img", i))
		writers[name] = exec.Command("cp", file(t, name, noise(uint64(190+i), size)), m.path(name))
		if err := writers[name].Start(); err != nil {
			t.Fatal(err)
		}
	}
	m.until("four uploads, and bytes of each", func() bool { // the service knows of an upload before its first byte is sent
		uploads, begun := m.snapshot().Uploads, 0
		for _, u := range uploads {
			if u.Sent > 0 {
				begun++
			}
		}
		return g.waiting() == atOnce && len(uploads) == files && begun == atOnce
	})
	phases := map[string]int{}
	for _, u := range m.snapshot().Uploads {
		phases[u.Phase]++
		if writers[u.Name] == nil || u.Size != size || u.Draft == "" || (u.Phase == "uploading") != (u.Sent > 0) || u.Sent >= size {
			t.Errorf("status shows %+v", u)
		}
	}
	if phases["uploading"] != atOnce || phases["waiting"] != files-atOnce {
		t.Errorf("phases %v", phases)
	}
	g.letGo()
	for name, w := range writers {
		if err := w.Wait(); err != nil {
			t.Errorf("cp of %s: %v", name, err)
		}
		holds(t, s.one(t, name), noise(uint64(190+int(name[len("progress-")]-'0')), size))
	}
}
