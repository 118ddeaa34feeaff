package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWrite: what is shown, taken as a file, is the same configuration; every option is
// there with its origin, and the token is not.
func TestWrite(t *testing.T) {
	c, origins, err := Load(Sources{
		Host:   testHost,
		File:   fileOf(t, "memory: 1GiB\nname: \"[a-z]: # *\"\n"),
		Getenv: envOf("IMAGEFS_ENDPOINT=http://h", "OS_TOKEN=s3cr3t"),
		Flags: flagsOf(t, "new-tag=x,y", "new-tag=a: b", "new-tag=true", "new-property=k=v,\"w\"\nx", "new-property=n=1", "trash=7d", "abandoned-ttl=90m",
			"read-only=true", "status=active", "status=queued", "uid=7", "visibility=shared", "log-level=warn", "cache-size=0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.Write(&b, origins); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != len(Options()) {
		t.Errorf("%d lines for %d options:\n%s", len(lines), len(Options()), text)
	}
	for i, o := range Options() {
		if i < len(lines) && (!strings.HasPrefix(strings.TrimPrefix(lines[i], "# "), o.Name+":") || !strings.HasSuffix(lines[i], "  # "+origins[o.Name])) {
			t.Errorf("%s: %q", o.Name, lines[i])
		}
	}
	if strings.Contains(text, "s3cr3t") {
		t.Errorf("the token:\n%s", text)
	}

	path := filepath.Join(t.TempDir(), "shown.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	again, _, err := Load(Sources{Host: Host{}, File: path})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	again.Token = c.Token // the only thing that is left out
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}
