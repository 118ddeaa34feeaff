package fs

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// blockedIn reports whether the only thread of a process waits in a kernel function.
func blockedIn(pid int, function string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	return err == nil && string(text) == function
}

func stat(command string, flags, exitCode string) string {
	fields := make([]string, 50) // field 3 is index 0
	for i := range fields {
		fields[i] = "0"
	}
	fields[0], fields[statFlags], fields[statExitCode] = "S", flags, exitCode
	return "123 (" + command + ") " + strings.Join(fields, " ") + "\n"
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		name, text  string
		flags, code uint64
		ok          bool
	}{
		{"plain", stat("cat", "4194304", "0"), 4194304, 0, true},
		{"killed", stat("cat", "1028", "9"), 1028, 9, true},
		{"parentheses", stat("a) R 1 (b", "4", "15"), 4, 15, true},
		{"newline", stat("a\nb", "4", "15"), 4, 15, true},
		{"empty", "", 0, 0, false},
		{"no command", "123 cat S 1 2 3", 0, 0, false},
		{"short", "123 (cat) S 1 2 3", 0, 0, false},
		{"no number", stat("cat", "x", "0"), 0, 0, false},
		{"no code", stat("cat", "4", "-"), 4, 0, false},
	} {
		flags, code, ok := parseStat([]byte(c.text))
		if ok != c.ok || ok && (flags != c.flags || code != c.code) {
			t.Errorf("%s: %d, %d, %v, want %d, %d, %v", c.name, flags, code, ok, c.flags, c.code, c.ok)
		}
	}
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if flags, _, ok := parseStat(text); !ok || flags&taskExiting != 0 {
		t.Errorf("this process: flags %x, %v", flags, ok)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add(stat("cat", "4", "9"))
	f.Add("1 ()) ( ")
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, ok := parseStat([]byte(text)); ok && !strings.Contains(text, ")") {
			t.Error("no command, and parsed")
		}
	})
}

func TestProcesses(t *testing.T) {
	self := uint32(os.Getpid())
	if g := processGroup(self); g != self {
		t.Errorf("the group of %d is %d", self, g)
	}
	if killed, _ := killedBySignal(self); killed || toldToStop(self) {
		t.Error("this process counts as stopped")
	}
	if command(self) == "" {
		t.Error("this process has no name")
	}
	// A caller in another pid namespace has pid 0: an interrupt of it is all that
	// can be known, and its closes are its own.
	if killed, _ := killedBySignal(0); killed || !toldToStop(0) || processGroup(0) != 0 || command(0) != "" {
		t.Error("pid 0 is looked at")
	}
	const gone = 1 << 30 // above any pid
	if killed, _ := killedBySignal(gone); killed || !toldToStop(gone) || processGroup(gone) != 0 || command(gone) != "" {
		t.Error("a process that is gone is looked at")
	}
}
