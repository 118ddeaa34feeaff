package main

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestPadded(t *testing.T) {
	content := []byte("some bytes")
	for name, from := range map[string]io.Reader{"whole": bytes.NewReader(content), "one at a time": iotest.OneByteReader(bytes.NewReader(content))} {
		got, err := io.ReadAll(padded{from})
		if err != nil || len(got) != 2*len(content) {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		for i, c := range content {
			if got[2*i] != c || got[2*i+1] != 0 {
				t.Fatalf("%s: %q", name, got)
			}
		}
	}
}
