package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFrame(t *testing.T) {
	for _, tc := range []struct {
		name          string
		text          string
		columns, rows int
		want          string // what is on the screen
	}{
		{"fits", "a\nb\n", 10, 3, "a|b|"},
		{"narrow", "0123456789\nü中x\n", 5, 5, "0123…|ü中x|"},
		{"long", "upload    a name and more of it\n", 24, 9, "upload    a name and|          more of it|"},
		{"without blanks", "upload    0123456789abcdefghijklmnop\n", 20, 9, "upload    0123456789|          abcdefghij|          klmnop|"},
		{"two columns each", "upload    " + strings.Repeat("中", 9) + "\n", 23, 9, "upload    中中中中中中|          中中中|"},
		{"too many", "a\nb\nc\nd\n", 20, 4, "a|b|… 2 more lines|"},
		{"no room", "a\nb\n", 1, 1, "…|"},
	} {
		got := frame(tc.text, tc.columns, tc.rows)
		shown, whole := strings.CutPrefix(got, "\x1b[H")
		shown, ended := strings.CutSuffix(shown, "\x1b[J")
		if shown = strings.ReplaceAll(shown, "\x1b[K\r\n", "|"); shown != tc.want || !whole || !ended {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if n := strings.Count(got, "\n"); n >= tc.rows && tc.rows > 1 {
			t.Errorf("%s: %d lines scroll a screen of %d", tc.name, n, tc.rows)
		}
	}
}

// Piped, status --watch prints one status below the other until it is
// interrupted, which is no error; and it ends with the daemon, which is one.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mounted(service(t, nil))
	p := w.start("status", "--watch", m)
	eventually(t, "it is shown twice", func() bool { return strings.Count(p.out.String(), "\nnow ") >= 1 })
	p.signal(unix.SIGINT)
	if out, stderr, code := p.end(); code != exitOK || stderr != "" || !strings.HasPrefix(out, "now ") {
		t.Errorf("interrupted: code %d, %q, %s", code, stderr, out)
	}
	p = w.start("status", "--watch", m)
	eventually(t, "it is shown", func() bool { return strings.HasPrefix(p.out.String(), "now ") })
	w.mustRun("unmount", m)
	if _, stderr, code := p.end(); code != exitNoDaemon || oneLineOf(t, stderr) == "" {
		t.Errorf("unmounted: code %d, %q", code, stderr)
	}
}
