package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where policy refuses uploads, files become images by import. An import that
// fails is an error of close, which leaves no image and keeps the draft.
func TestImportOnly(t *testing.T) {
	policy := file(t, "policy.yaml", []byte(`"upload_image": "!"`))
	g := startGlance(t, "GLANCE_EXTRA="+file(t, "extra", fmt.Appendf(nil, "[oslo_policy]\npolicy_file = %s\n", policy)))
	m := mountOn(t, g.service)
	data, other := noise(150, 3<<20+77), noise(151, 100_000)
	run(t, "cp", file(t, "data", data), m.path("imported.img"))
	holds(t, g.one(t, "imported.img"), data)
	run(t, "cp", file(t, "other", other), m.path("imported.img"))
	holds(t, g.one(t, "imported.img"), other)
	if n := strings.Count(m.log.String(), "refuses data by PUT"); n != 1 {
		t.Errorf("PUT was refused %d times, want once", n)
	}

	store := filepath.Join(g.dir, "images")
	if err := errors.Join(os.Rename(store, store+".away"), os.WriteFile(store, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	source := file(t, "failed.img", data)
	failed := fails(t, "cp", source, m.path("failed.img"))
	if err := errors.Join(os.Remove(store), os.Rename(store+".away", store)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(failed.stderr, "Input/output error") {
		t.Errorf("cp says %s", failed.stderr)
	}
	if left := g.images(t, "failed.img"); len(left) != 0 {
		t.Errorf("a failed import left %v", left)
	}
	kept := m.kept("failed.img")
	if kept.State != "failed" || !strings.Contains(kept.Reason, "could not import") {
		t.Errorf("the draft is %s because %q", kept.State, kept.Reason)
	}
	run(t, "cmp", source, kept.Path)
	run(t, "cp", source, m.path("failed.img"))
	holds(t, g.one(t, "failed.img"), data)
}
