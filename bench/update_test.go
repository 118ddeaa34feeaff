package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// figures are those of two real rows, made up.
func figures() []stored {
	some := func(name string, all ...values) storedContender {
		return storedContender{Name: name, How: "`" + name + " <&>`", Runs: all}
	}
	v := func(x float64) values { return values{speed.key: x} }
	return []stored{
		{Row: "cold-shaped", Date: "2025-11-25", Version: "v0.1", Machine: "2 cores", Contenders: []storedContender{
			some(imagefs, v(390), v(380), v(400)), some(sixteen, v(400), v(400), v(400)), some("curl", v(50), v(50), v(48)),
			some("rclone & <others>"),
		}},
		{Row: "random-1", Date: "2025-11-25", Version: "v0.1", Machine: "2 cores", Contenders: []storedContender{
			some(imagefs, values{latency.key: 1.25, rate.key: 40, perRead.key: 128}),
		}},
	}
}

func TestMarkdown(t *testing.T) { golden(t, "markdown.md", markdown(allRows(), figures())) }

func TestPlot(t *testing.T) {
	golden(t, "plot.svg", plot(figures()[0].result(coldShaped())))
}

// What is written by hand is kept, and rows that were not measured keep their
// figures.
func TestUpdate(t *testing.T) {
	docs := t.TempDir()
	path := filepath.Join(docs, "BENCHMARKS.md")
	const before, after = "# By hand\n\nbefore\n", "\nafter\n"
	if err := os.WriteFile(path, []byte(before+beginMark+"old\n"+endMark+after), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := update(docs, figures()); err != nil {
		t.Fatal(err)
	}
	again := figures()[1:]
	again[0].Version = "v0.2"
	if err := update(docs, again); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := before + beginMark + string(markdown(allRows(), []stored{figures()[0], again[0]})) + endMark + after
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"cold-shaped.svg", "random-1.svg"} {
		if text, err := os.ReadFile(filepath.Join(docs, plots, name)); err != nil || !strings.HasSuffix(string(text), "</svg>\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUpdateWithoutMarks(t *testing.T) {
	docs := t.TempDir()
	path := filepath.Join(docs, "BENCHMARKS.md")
	for _, text := range []string{"nothing", beginMark, endMark + beginMark} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := update(docs, figures()); err == nil {
			t.Errorf("%q was accepted", text)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q became %q: %v", text, got, err)
		}
	}
}

// A row that is no more goes from the document.
func TestMerge(t *testing.T) {
	old := []stored{{Row: "random-1", Version: "old"}, {Row: "gone"}, {Row: "link", Version: "old"}}
	got := merge(allRows(), old, []stored{{Row: "link", Version: "new"}, {Row: "again", Version: "new"}})
	want := []stored{{Row: "link", Version: "new"}, {Row: "again", Version: "new"}, {Row: "random-1", Version: "old"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The rows are what the rest relies on: names that differ, targets that a figure of
// the row can meet.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range allRows() {
		if seen[r.name] || seen[r.title] {
			t.Errorf("%s: there are two", r.name)
		}
		seen[r.name], seen[r.title] = true, true
		if r.about == "" || len(r.metrics) == 0 || r.prepare == nil {
			t.Errorf("%s: incomplete", r.name)
		}
		for _, target := range r.targets {
			if target.least == 0 && target.most == 0 || target.of == "" {
				t.Errorf("%s: %s: nothing can miss it", r.name, target.text)
			}
			found := false
			for _, m := range r.metrics {
				found = found || m == target.metric
			}
			if !found {
				t.Errorf("%s: %s: not a metric of the row", r.name, target.text)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"-only", "link,info", "-runs", "3", "-size", "512MiB"})
	if err != nil || o.runs != 3 || o.size != 512<<20 {
		t.Errorf("%+v, %v", o, err)
	}
	if rows, err := choose(allRows(), o.only); err != nil || len(rows) != 2 || rows[1].name != "info" {
		t.Errorf("%v, %v", rows, err)
	}
	if rows, err := choose(allRows(), nil); err != nil || len(rows) != len(allRows()) {
		t.Errorf("no name chooses %d rows: %v", len(rows), err)
	}
	if _, err := choose(allRows(), []string{"nonsense"}); err == nil {
		t.Error("a row that is not there was chosen")
	}
	for _, args := range [][]string{{"-runs", "0"}, {"-size", "1MiB"}, {"-size", "x"}, {"-write", "-quick"}, {"-write", "-against", "curl"}, {"more"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
