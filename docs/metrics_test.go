package docs

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/metrics"
)

var rewrite = flag.Bool("rewrite", false, "write the table of metrics into OPERATIONS.md anew")

// listOfMetrics is the heading above the table that the definitions make.
const listOfMetrics = "### Every metric"

// The table of metrics is what the definitions say.
func TestMetrics(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n")
	for _, d := range metrics.Definitions() {
		labels := ""
		if len(d.Labels) > 0 {
			labels = "`" + strings.Join(d.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.Name, d.Type, labels, d.Unit, d.Help)
	}
	b.WriteString("\n")
	is := section(t, "OPERATIONS.md", listOfMetrics)
	if is == b.String() {
		return
	}
	if !*rewrite {
		t.Fatalf("OPERATIONS.md has other metrics than the program: go test ./docs -run %s -rewrite", t.Name())
	}
	text := strings.Replace(read(t, "OPERATIONS.md"), listOfMetrics+"\n"+is, listOfMetrics+"\n"+b.String(), 1)
	if err := os.WriteFile("OPERATIONS.md", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
