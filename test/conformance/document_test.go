package conformance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var rewrite = flag.Bool("rewrite", false, "write the list of operations into docs/RELIABILITY.md anew")

// The list lies between these lines of the document.
const (
	document  = "../../docs/RELIABILITY.md"
	beginMark = "<!-- conformance: begin. Written by `go test ./test/conformance -rewrite`; what you change here is lost. -->\n"
	endMark   = "<!-- conformance: end -->\n"
)

// markdown is the list as the document has it.
func markdown() string {
	var b strings.Builder
	for _, group := range table {
		fmt.Fprintf(&b, "\n**%s**\n\n| operation | gives | |\n|---|---|---|\n", group.name)
		for _, row := range group.rows {
			gives := "success"
			if row.errno != 0 {
				gives = unix.ErrnoName(row.errno)
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", row.operation, gives, row.does)
		}
	}
	b.WriteString("\n" + stressMarkdown() + "\n")
	return b.String()
}

// The document says what the table says, which the tests of this package run.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	was, after, also := strings.Cut(rest, endMark)
	if !ok || !also {
		t.Fatalf("%s lacks a line %q or %q", document, beginMark, endMark)
	}
	want := markdown()
	if *rewrite {
		if err := os.WriteFile(document, []byte(before+beginMark+want+endMark+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != want {
		t.Errorf("%s does not say what is tested here: run `go test ./test/conformance -run TestDocument -rewrite`", document)
	}
}
