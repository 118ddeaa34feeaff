package faults

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/test/fault"
)

const document = "../../docs/RELIABILITY.md"

// The table lies between these lines of the document.
const (
	beginMark = "<!-- faults: begin. `go test ./test/faults -rewrite` writes here what it sees; read what it has changed. -->\n"
	endMark   = "<!-- faults: end -->\n"
)

// cellKey says where in the table something stands.
type cellKey struct {
	kind      fault.Kind
	operation string
	fault     string
}

func (k cellKey) String() string {
	return fmt.Sprintf("%s of %s, %s", k.operation, k.kind, k.fault)
}

// table has an outcome for once and one for always.
type table map[cellKey][2]outcome

// requests say what the kinds of request are.
var requests = map[fault.Kind]string{
	fault.Versions: "the list of versions, `GET /`",
	fault.Probe:    "the listing of one image, by which a mount begins, `GET /v2/images?limit=1`",
	fault.List:     "a page of the listing, `GET /v2/images`",
	fault.Delta:    "what was changed, `GET /v2/images?updated_at=`",
	fault.Lookup:   "the images of one name, `GET /v2/images?name=`",
	fault.Get:      "one record, `GET /v2/images/ID`",
	fault.Span:     "a part of the data, `GET /v2/images/ID/file` with a range",
	fault.Whole:    "all of the data, of a store without ranges, `GET /v2/images/ID/file`",
	fault.Create:   "a new record, `POST /v2/images`",
	fault.Upload:   "data, `PUT /v2/images/ID/file`",
	fault.Update:   "a change of a record, `PATCH /v2/images/ID`",
	fault.Delete:   "a deletion, `DELETE /v2/images/ID`",
	fault.Members:  "members, `/v2/images/ID/members`",
	fault.Usage:    "the quota, `GET /v2/info/usage`",
	fault.Stores:   "the stores, with `--store`, `GET /v2/info/stores`",
	fault.Methods:  "the ways to import, where `PUT` of data was refused, `GET /v2/info/import`",
	fault.Stage:    "data that is to be imported, `PUT /v2/images/ID/stage`",
	fault.Import:   "the order of an import, `POST /v2/images/ID/import`",
	fault.Tasks:    "the tasks at an image, where its import takes more than two seconds, `GET /v2/images/ID/tasks`",
	fault.Token:    "a new token, where the old one has expired, `POST /v3/auth/tokens` at Keystone",
}

// between cuts the document at the marks.
func between(t *testing.T) (before, generated, after []byte) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := bytes.Cut(text, []byte(beginMark))
	generated, after, ended := bytes.Cut(rest, []byte(endMark))
	if !begun || !ended {
		t.Fatal("docs/RELIABILITY.md has not the lines that enclose the table of faults")
	}
	return before, generated, after
}

// columns are the operations of a kind, in their order.
func columns(k fault.Kind) (names []string) {
	for _, o := range operations {
		if o.kind == k {
			names = append(names, o.name)
		}
	}
	return names
}

// kinds are those that operations have, in their order.
func kinds() (all []fault.Kind) {
	for _, o := range operations {
		if !slices.Contains(all, o.kind) {
			all = append(all, o.kind)
		}
	}
	return all
}

const betweenFaults = "; "

func readTable(t *testing.T) table {
	t.Helper()
	_, generated, _ := between(t)
	found := table{}
	var kind fault.Kind
	for line := range strings.Lines(string(generated)) {
		for k, title := range requests {
			if line == heading(title) {
				kind = k
			}
		}
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		names := columns(kind)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|-") || strings.HasPrefix(line, "| fault |") {
			continue
		}
		if len(cells) != 1+2*len(names) {
			t.Fatalf("this row has not two outcomes for each of %q: %s", names, line)
		}
		for f := range strings.SplitSeq(strings.TrimSpace(cells[0]), betweenFaults) {
			for i, name := range names {
				found[cellKey{kind, name, f}] = [2]outcome{
					outcome(strings.TrimSpace(cells[1+2*i])), outcome(strings.TrimSpace(cells[2+2*i])),
				}
			}
		}
	}
	return found
}

func heading(title string) string { return "### " + strings.ToUpper(title[:1]) + title[1:] + "\n" }

// writeTable writes what was seen; faults with the same outcomes share a row.
func writeTable(t *testing.T, found table) {
	t.Helper()
	before, _, after := between(t)
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(beginMark)
	for _, k := range kinds() {
		b.WriteString("\n" + heading(requests[k]) + "\n| fault |")
		for _, name := range columns(k) {
			fmt.Fprintf(&b, " %s: once | always |", name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|---|", len(columns(k))) + "\n")
		var order []string
		rows := map[string][]string{}
		for _, f := range fault.All() {
			if !f.Concerns(k) {
				continue
			}
			var cells strings.Builder
			for _, name := range columns(k) {
				cell := found[cellKey{k, name, f.Name}]
				fmt.Fprintf(&cells, " %s | %s |", cell[0], cell[1])
			}
			if rows[cells.String()] == nil {
				order = append(order, cells.String())
			}
			rows[cells.String()] = append(rows[cells.String()], f.Name)
		}
		for _, cells := range order {
			fmt.Fprintf(&b, "| %s |%s\n", strings.Join(rows[cells], betweenFaults), cells)
		}
	}
	b.WriteString("\n" + endMark)
	b.Write(after)
	if err := os.WriteFile(document, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
