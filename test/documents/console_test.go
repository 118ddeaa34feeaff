package documents

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into the documents, where it has another shape")

const (
	// patience bounds the commands of one section; on a machine that does nothing else
	// they take some seconds.
	patience = 2 * time.Minute
	// mark begins a line of the script's own in what it prints.
	mark = "\x1e"
)

// A reader of the README and of the tutorials gets what they show.
func TestDocuments(t *testing.T) {
	for _, path := range []string{"../../README.md", "../../docs/TUTORIALS.md"} {
		lines := readLines(t, path)
		all := sections(lines)
		if len(all) == 0 {
			t.Errorf("%s has no console blocks", path)
		}
		printed := map[int][]string{}
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) {
				for i, got := range newWorld(t, s.name).run(s) {
					step := s.steps[i]
					switch {
					case got.status != 0 && len(step.shown) == 0:
						t.Errorf("%s:%d: $ %s\nends with %d:\n%s", path, step.line, step.command, got.status, strings.Join(got.lines, "\n"))
					case len(step.shown) == 0 || matches(step.shown, got.lines):
					case *rewrite:
						printed[step.line] = got.lines
					default:
						t.Errorf("%s:%d: $ %s\nprints\n%s\nand the document shows\n%s", path, step.line, step.command, strings.Join(got.lines, "\n"), strings.Join(step.shown, "\n"))
					}
				}
			})
		}
		if len(printed) > 0 {
			if err := os.WriteFile(path, []byte(strings.Join(rewritten(lines, all, printed), "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// result is what one command has printed, and how it ended.
type result struct {
	lines  []string
	status int
}

// run runs the commands of a section in one shell, in a mount namespace of its own, and
// unmounts what they have mounted.
func (w *world) run(s section) []result {
	w.t.Helper()
	script, err := os.ReadFile("testdata/begin.sh")
	if err != nil {
		w.t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join("testdata", s.name+".sh"))
	if err != nil {
		w.t.Fatal(err)
	}
	script = append(script, own...)
	script = append(script, "set +e\n"...)
	for _, step := range s.steps { // in this shell: cd and variables last
		script = fmt.Appendf(script, "printf '%s\\n'\n{\n%s\n} </dev/null\nprintf '%s%%d\\n' $?\n", mark, step.command, mark)
	}
	path := filepath.Join(w.dir, "script")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "bash", path)
	cmd.Env = append(os.Environ(), w.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) } // the command; the shell unmounts
	cmd.WaitDelay = 30 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	text := strings.Split(out.String(), mark)
	if ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("not ended in %s", patience))
	}
	if err != nil || len(text) != 2*len(s.steps)+1 {
		w.t.Fatalf("%s: %v\n%s", s.name, err, out.String())
	}
	var all []result
	for i := range s.steps {
		var r result
		if printed := strings.Trim(text[2*i+1], "\n"); printed != "" {
			r.lines = strings.Split(printed, "\n")
		}
		if _, err := fmt.Sscan(text[2*i+2], &r.status); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}
