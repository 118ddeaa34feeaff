package metrics

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func someKept() []Kept {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return []Kept{
		{ID: "3d70c0ea-ff57-4087-86d1-3a09a778be6a", Name: "disk.raw", State: "failed", Reason: "commit: over quota", Size: 4 << 30, Stored: 1 << 30,
			Created: at, Updated: at, Age: 93784, Path: "/s/1/3d70c0ea-ff57-4087-86d1-3a09a778be6a.data", Base: "b", Image: "i",
			Service: "https://glance.example/v2", Cloud: "prod", Project: "8f2b"},
		{ID: "aaaaaaaa-0000-4000-8000-000000000001", State: "open", Size: 10, Age: 61, Path: "/s/2/a.data", Uncertain: true, Service: "http://127.0.0.1:9292/v2"},
		{ID: "aaaaaaaa-0000-4000-8000-000000000002", Name: "evil\x1b[2J\nx", State: "damaged", Path: "/s/2/b.data"},
	}
}

func TestKeptText(t *testing.T) {
	var b strings.Builder
	if err := WriteKept(&b, someKept()); err != nil {
		t.Fatal(err)
	}
	golden(t, "kept.txt", b.String())
	b.Reset()
	if err := WriteKept(&b, nil); err != nil || b.String() != "no drafts\n" {
		t.Errorf("%q %v", b.String(), err)
	}
}

// The JSON keys are a promise: the golden file changes only by additions.
func TestKeptJSON(t *testing.T) {
	text, err := json.MarshalIndent(someKept(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "kept.json", string(text)+"\n")
}
