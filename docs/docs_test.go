// Package docs holds the documents to the program: what they name exists, and what
// exists is named. It has no code of its own.
package docs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// binary is the imagefs that the documents describe.
var binary string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "imagefs-docs-")
	if err != nil {
		return 1, err
	}
	binary = filepath.Join(dir, "imagefs")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/imagefs").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	code := m.Run()
	return code, errors.Join(os.RemoveAll(dir), goleak.Find())
}

// documents are the paths of all documents, from this directory.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "../*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 5 {
		t.Fatalf("documents: only %q", all)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is what stands below a heading, up to the next of its level or above.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, path), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", path, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	var kept []string
	for line := range strings.Lines(rest) {
		if marks, _, ok := strings.Cut(line, " "); ok && marks != "" && strings.Trim(marks, "#") == "" && len(marks) <= len(level) {
			break
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

// rows are the cells of a table's rows, without its head.
func rows(text string) [][]string {
	var all [][]string
	ruled := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			ruled = false
		case strings.HasPrefix(line, "|-"):
			ruled = true
		case ruled:
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			all = append(all, cells)
		}
	}
	return all
}

// output runs the binary, which must succeed.
func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("imagefs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// compare reports what only one of two sets has.
func compare(t *testing.T, what string, documented, real map[string]bool) {
	t.Helper()
	if len(real) == 0 {
		t.Fatalf("%s: the program has none", what)
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if !real[name] {
			t.Errorf("%s: %s is documented and does not exist", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(real)) {
		if !documented[name] {
			t.Errorf("%s: %s is not documented", what, name)
		}
	}
}

var exitRow = regexp.MustCompile(`(?m)^ +(\d+)  (.+)$`)

func TestExitCodes(t *testing.T) {
	documented, real := map[string]bool{}, map[string]bool{}
	for _, row := range rows(section(t, "SEMANTICS.md", "## Exit codes")) {
		text := row[0] + "  " + row[1]
		if row[2] != "" {
			text += ": " + row[2]
		}
		documented[text] = true
	}
	for _, found := range exitRow.FindAllStringSubmatch(output(t, "help", "exit-codes"), -1) {
		real[found[1]+"  "+found[2]] = true
	}
	compare(t, "exit codes", documented, real)
	codes := map[string]bool{}
	for row := range documented {
		code, _, _ := strings.Cut(row, " ")
		codes[code] = true
	}
	for _, path := range documents(t) {
		for _, found := range regexp.MustCompile(`(?i)exit codes? (\d+)`).FindAllStringSubmatch(read(t, path), -1) {
			if !codes[found[1]] {
				t.Errorf("%s: there is no exit code %s", path, found[1])
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notSlug = regexp.MustCompile("[^a-z0-9 -]")
)

func TestLinks(t *testing.T) {
	for _, path := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(read(t, path), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", path, found[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, file), anchor) {
				t.Errorf("%s: the link %s leads to no heading of %s", path, found[1], file)
			}
		}
	}
}

// anchors are what GitHub makes of the headings.
func anchors(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for _, found := range heading.FindAllStringSubmatch(read(t, path), -1) {
		all = append(all, strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-"))
	}
	return all
}

// Every room of the house is in ARCHITECTURE, and every one there exists.
func TestRooms(t *testing.T) {
	documented, real := map[string]bool{}, map[string]bool{}
	for _, row := range rows(section(t, "ARCHITECTURE.md", "## Rooms")) {
		documented[strings.Trim(row[0], "`")] = true
	}
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out) {
		room, err := filepath.Rel(root, strings.TrimSpace(string(line)))
		if err != nil {
			t.Fatal(err)
		}
		real[room] = true
	}
	compare(t, "rooms", documented, real)
}
