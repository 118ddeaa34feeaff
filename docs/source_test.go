package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// table finds the package-level variable of a map and returns its pairs. The tables
// of a room are its own, so they are read as source.
func table(t *testing.T, path, name string) []*ast.KeyValueExpr {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(path), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []*ast.KeyValueExpr
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != name || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.CompositeLit)
		if !ok {
			return true
		}
		for _, e := range literal.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				pairs = append(pairs, pair)
			}
		}
		return false
	})
	if len(pairs) == 0 {
		t.Fatalf("%s has no table %s", path, name)
	}
	return pairs
}

// settable reports whether a row of the table of attributes has a way to set it:
// written {get: …} it has none, written {get, set} it has.
func settable(t *testing.T, pair *ast.KeyValueExpr) bool {
	t.Helper()
	value, ok := pair.Value.(*ast.CompositeLit)
	if !ok {
		t.Fatal("a row of another form")
	}
	for i, e := range value.Elts {
		if named, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := named.Key.(*ast.Ident); ok && key.Name == "set" {
				return true
			}
		} else if i == 1 {
			return true
		}
	}
	return false
}

func TestExtendedAttributes(t *testing.T) {
	documented, real := map[string]bool{}, map[string]bool{}
	for _, pair := range table(t, "../fs/xattrfields.go", "fields") {
		key, ok := pair.Key.(*ast.BasicLit)
		if !ok {
			t.Fatal("a key of another form")
		}
		short, err := strconv.Unquote(key.Value)
		if err != nil {
			t.Fatal(err)
		}
		real["user.image."+short+" settable "+strconv.FormatBool(settable(t, pair))] = true
	}
	names := map[string]bool{"user.image.property.": true}
	for _, row := range rows(section(t, "SEMANTICS.md", "### Extended attributes")) {
		name := strings.Trim(row[0], "`")
		if name == "user.image.property.NAME" {
			continue
		}
		names[name] = true
		documented[name+" settable "+strconv.FormatBool(row[2] != "no")] = true
	}
	compare(t, "extended attributes", documented, real)
	for _, path := range documents(t) {
		for _, name := range attributeName.FindAllString(read(t, path), -1) {
			if !names[name] {
				t.Errorf("%s: there is no attribute %s", path, name)
			}
		}
	}
}

var attributeName = regexp.MustCompile(`user\.image\.(?:property\.|[a-z_]+)`)

// Every errno that a kind of error becomes is in the table of errors, and the table
// has no other.
func TestErrorTable(t *testing.T) {
	documented, real := map[string]bool{}, map[string]bool{}
	for _, pair := range table(t, "../fs/errno.go", "errnos") {
		errno, ok := pair.Value.(*ast.SelectorExpr)
		if !ok {
			t.Fatal("a value of another form")
		}
		real[errno.Sel.Name] = true
	}
	for _, row := range rows(section(t, "SEMANTICS.md", "## Errors")) {
		documented[row[0]] = true
	}
	compare(t, "errors", documented, real)
}
