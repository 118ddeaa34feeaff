package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// differs stands for what is not constant in a message.
const differs = "…"

// source is the code of one package: its files, and the texts of its constants.
type source struct {
	files  []*ast.File
	consts map[string]string
}

// sources parses the packages of the program, without those of its embedded server and of
// the tests.
func sources(t *testing.T) []source {
	t.Helper()
	const module = "github.com/imagefs/imagefs/"
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Dir}}", "../cmd/imagefs").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(path, module) || strings.HasPrefix(path, module+"imageserver") {
			continue
		}
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		s := source{consts: map[string]string{}}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			s.files = append(s.files, file)
		}
		for _, file := range s.files {
			ast.Inspect(file, s.constant)
		}
		all = append(all, s)
	}
	return all
}

// constant notes the constants of a declaration that are texts.
func (s source) constant(n ast.Node) bool {
	spec, ok := n.(*ast.ValueSpec)
	if ok && len(spec.Names) == len(spec.Values) {
		for i, name := range spec.Names {
			if text := s.text(spec.Values[i]); text != differs {
				s.consts[name.Name] = text
			}
		}
	}
	return true
}

// text is what an expression says, with differs in the place of what is not known.
func (s source) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.Ident:
		if text, ok := s.consts[e.Name]; ok {
			return text
		}
	case *ast.BinaryExpr:
		return s.text(e.X) + s.text(e.Y)
	}
	return differs
}

// logged calls found for the message of each line that is written as a warning or an error.
func (s source) logged(found func(string)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			at := -1 // the argument that is the message
			switch name := method.Sel.Name; {
			case (name == "Warn" || name == "Error") && len(call.Args) > 0:
				at = 0
			case (name == "Log" || name == "NewRecord") && len(call.Args) > 2 && !quiet(call.Args[1]):
				at = 2
			}
			if at >= 0 {
				if text := s.text(call.Args[at]); text != differs {
					found(text)
				}
			}
			return true
		})
	}
}

// quiet reports whether a level is below that of warnings.
func quiet(level ast.Expr) bool {
	named, ok := level.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"LevelDebug", "LevelInfo"}, named.Sel.Name)
}

// Every line that the log can have at the levels warn and error is in TROUBLESHOOTING, and
// each that is quoted there is in the source.
func TestLogLines(t *testing.T) {
	real, constants := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		s.logged(func(text string) { real[text] = true })
		for _, file := range s.files {
			ast.Inspect(file, func(n ast.Node) bool {
				if e, ok := n.(*ast.BasicLit); ok {
					constants[s.text(e)] = true
				}
				return true
			})
		}
	}
	if len(real) < 80 {
		t.Errorf("only %d lines found in the source: has their form changed?", len(real))
	}
	documented := map[string]bool{}
	for _, row := range rows(section(t, "TROUBLESHOOTING.md", "## By line of the log")) {
		text := strings.Trim(row[0], "`")
		if documented[text] {
			t.Errorf("%q is there twice", text)
		}
		documented[text] = true
		if constants[text] { // one that a variable holds, which logged does not see
			real[text] = true
		}
	}
	compare(t, "lines of the log", documented, real)
}

// Every errno that the filesystem gives is in TROUBLESHOOTING, with what programs print of it.
func TestErrnosOfTroubleshooting(t *testing.T) {
	texts := map[string]string{"EOPNOTSUPP": unix.EOPNOTSUPP.Error()} // ErrnoName calls it ENOTSUP
	for e := syscall.Errno(1); e < 134; e++ {                         // all that Linux has
		texts[unix.ErrnoName(e)] = e.Error()
	}
	documented := map[string]bool{}
	for _, row := range rows(section(t, "TROUBLESHOOTING.md", "## By error")) {
		documented[row[0]] = true
		if texts[row[0]] != row[1] {
			t.Errorf("%s is %q, not %q", row[0], texts[row[0]], row[1])
		}
	}
	// What the kernel says by itself: of a daemon that is gone, and where there is no method.
	real := map[string]bool{"ENOTCONN": true, "ENOTTY": true}
	for _, s := range sources(t) {
		for _, file := range s.files {
			if file.Name.Name == "fs" {
				ast.Inspect(file, func(n ast.Node) bool { return given(n, func(name string) { real[name] = true }) })
			}
		}
	}
	compare(t, "errnos", documented, real)
}

// given calls found for each errno that is not only compared with another.
func given(n ast.Node, found func(string)) bool {
	switch n := n.(type) {
	case *ast.CaseClause:
		for _, statement := range n.Body {
			ast.Inspect(statement, func(n ast.Node) bool { return given(n, found) })
		}
		return false
	case *ast.CallExpr:
		method, ok := n.Fun.(*ast.SelectorExpr)
		return !ok || method.Sel.Name != "Is"
	case *ast.SelectorExpr:
		if of, ok := n.X.(*ast.Ident); ok && (of.Name == "syscall" || of.Name == "unix") && errnoName.MatchString(n.Sel.Name) {
			found(n.Sel.Name)
		}
	}
	return true
}

var errnoName = regexp.MustCompile(`^E[A-Z0-9]+$`)
