package documents

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// section is what a reader does in one go: the commands below one heading.
type section struct {
	name  string // of the heading, as its anchor
	steps []step
}

// step is one command, and what the document says that it prints.
type step struct {
	command string
	shown   []string // lines; none: the document does not show what it prints
	line    int      // of the document where the first of shown is, or would be; from 0
}

// sections finds the console blocks of a document. A command begins with "$ " and goes on
// in lines that begin with "> ".
func sections(lines []string) []section {
	var all []section
	inside, fenced := false, false
	for n, line := range lines {
		switch {
		case !fenced && strings.HasPrefix(line, "## "):
			name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(line, "## "), " ", "-"))
			all = append(all, section{name: name})
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
			inside = fenced && line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			last := &all[len(all)-1]
			last.steps = append(last.steps, step{command: line[2:], line: n + 1})
		default:
			steps := all[len(all)-1].steps
			last := &steps[len(steps)-1]
			if more, ok := strings.CutPrefix(line, "> "); ok && len(last.shown) == 0 {
				last.command += "\n" + more
				last.line = n + 1
			} else {
				last.shown = append(last.shown, line)
			}
		}
	}
	return slices.DeleteFunc(all, func(s section) bool { return len(s.steps) == 0 })
}

// rewritten puts what the commands have printed in the place of what the document shows
// of them, where it shows something.
func rewritten(lines []string, all []section, printed map[int][]string) []string {
	var now []string
	done := 0
	for _, s := range all {
		for _, step := range s.steps {
			text, ok := printed[step.line]
			if !ok || len(step.shown) == 0 {
				continue
			}
			now = append(append(now, lines[done:step.line]...), text...)
			done = step.line + len(step.shown)
		}
	}
	return append(now, lines[done:]...)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

func TestSections(t *testing.T) {
	lines := strings.Split("## One\n```\n$ not this\n```\n## Two Words\n```console\n$ a\n$ b \\\n> c\nx\ny\n```\ntext\n```console\n$ d\n```", "\n")
	all := sections(lines)
	if len(all) != 1 || all[0].name != "two-words" || len(all[0].steps) != 3 {
		t.Fatalf("%+v", all)
	}
	if b := all[0].steps[1]; b.command != "b \\\nc" || !slices.Equal(b.shown, []string{"x", "y"}) || lines[b.line] != "x" {
		t.Errorf("%+v", b)
	}
	now := strings.Join(rewritten(lines, all, map[int][]string{all[0].steps[1].line: {"z"}, all[0].steps[0].line: {"hidden"}}), "\n")
	if want := strings.Replace(strings.Join(lines, "\n"), "x\ny", "z", 1); now != want {
		t.Errorf("rewritten:\n%s", now)
	}
}
