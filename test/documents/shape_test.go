package documents

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// masks are what differs from one time to another, in the order in which they are
// looked for: ids and hashes, numbers, sizes, times, and the room that these take.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\bv\d+\.\d+\.\d+-[\w.-]*-?[0-9a-f]{12}(?:\+dirty)?`), "#"}, // the version that Go stamps
	{regexp.MustCompile(`\b(?:0x)?[0-9a-fA-F]{7,}\b(?:-[0-9a-fA-F]{4}){0,3}(?:-[0-9a-fA-F]{12}\b)?|\d+(?:[.,]\d+)*`), "#"},
	{regexp.MustCompile(`# ?(?:[KMGT]i?B|[kMGT]|bytes|B)\b`), "SIZE"},
	{regexp.MustCompile(`(?:#(?:h|ms|m|µs|s))+\b`), "TIME"},
	{regexp.MustCompile(`\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +# +#(?::#)*`), "DATE"},
	{regexp.MustCompile(`#-#-#[ T]#:#(?::#)?Z?`), "DATE"},
	{regexp.MustCompile(`\bdevel\b`), "#"}, // its version without that
	{regexp.MustCompile(`(# [a-z]+)s\b`), "$1"},
	{regexp.MustCompile(`\bnow\b|# (?:second|minute) ago\b`), "AGO"},
	{regexp.MustCompile(`^direct .*`), "direct"},       // what the kernel can
	{regexp.MustCompile(`, # (?:verified|hit)\b`), ""}, // what is done behind comes when it comes
	{regexp.MustCompile(`-{2,}`), "--"},
	{regexp.MustCompile(`\s+`), " "},
}

// shape is a line without what differs from one time to another.
func shape(line string) string {
	for _, m := range masks {
		line = m.what.ReplaceAllString(line, m.by)
	}
	return strings.TrimSpace(line)
}

// leftOut is a line of a document that stands for any number of lines.
const leftOut = "…"

// matches reports whether what was printed has the shape of what a document shows, in
// this order or in another: that of images made in one second is by their ids.
func matches(shown, printed []string) bool {
	return same(shown, printed) || same(shapes(shown), shapes(printed))
}

// shapes are those of lines, sorted.
func shapes(lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, shape(line))
	}
	slices.Sort(all)
	return all
}

func same(shown, printed []string) bool {
	if len(shown) == 0 {
		return len(printed) == 0
	}
	if shown[0] == leftOut {
		return slices.ContainsFunc(rests(printed), func(rest []string) bool { return same(shown[1:], rest) })
	}
	return len(printed) > 0 && shape(shown[0]) == shape(printed[0]) && same(shown[1:], printed[1:])
}

// rests are the ends of a list, the list and nothing among them.
func rests(list []string) [][]string {
	all := [][]string{list}
	for i := range list {
		all = append(all, list[i+1:])
	}
	return all
}

func TestShape(t *testing.T) {
	for _, pair := range [][2]string{
		{"5cbbc699-2370-4004-849e-99d671ef6957  active  406 KiB  2.0 GiB    0%  x.iso", "12345678-1234-4004-849e-99d671ef6957  active  1 B  20 MiB  100%  x.iso"},
		{"ubuntu-24.04~499d3a85.qcow2", "ubuntu-24.04~12345678.qcow2"},
		{"-rw-r--r-- 1 root root 314900480 Nov 22 01:47 a", "-rw-r--r-- 1 root root   415744 Jan  1  2024 a"},
		{"daemon    pid 12750, up 3s, imagefs 5f6f29a", "daemon    pid 5, up 1m4.5s, imagefs 1234567"},
		{"imagefs 9c6bdf3, 19 goroutines", "imagefs v0.0.0-20261126224054-58eda4f3f1ed+dirty, 18 goroutines"},
		{"100%  yes  now            x.iso", "100%  yes  3 seconds ago  x.iso"},
		{"+------+--+", "+---+-----------+"},
		{"since 2026-11-26 00:34:09 x", "since 2020-01-02 03:04:05 x"},
	} {
		if shape(pair[0]) != shape(pair[1]) {
			t.Errorf("%q and %q", shape(pair[0]), shape(pair[1]))
		}
	}
	for _, pair := range [][2]string{{"active", "queued"}, {"a 1", "b 1"}} {
		if shape(pair[0]) == shape(pair[1]) {
			t.Errorf("%q has the shape of %q", pair[0], pair[1])
		}
	}
	printed := []string{"a", "b", "c"}
	for shown, want := range map[string]bool{"a b c": true, "a b": false, "a … c": true, "b a c": true, "…": true, "… c": true, "a b c …": true, "… d": false, "": false} {
		if got := matches(strings.Fields(shown), printed); got != want {
			t.Errorf("%q is the same: %v", shown, got)
		}
	}
}
