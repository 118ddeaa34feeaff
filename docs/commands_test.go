package docs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	subcommand = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}\S`)
	helpFlag   = regexp.MustCompile(`(?m)^ +(?:-\w, |    )(--[a-z][a-z-]*)`)
	flagName   = regexp.MustCompile(`--[a-z][a-z-]*`)
)

// commands are the flags of every command that does something, as its help shows them, by
// the command's words: "staged list".
func commands(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	var walk func(words []string)
	walk = func(words []string) {
		help := output(t, append(slices.Clone(words), "--help")...)
		_, list, group := strings.Cut(help, "\nAvailable Commands:\n")
		if !group {
			all[strings.Join(words, " ")] = flags(help)
			return
		}
		list, _, _ = strings.Cut(list, "\n\n")
		for _, found := range subcommand.FindAllStringSubmatch(list, -1) {
			if name := found[1]; name != "help" && name != "completion" { // cobra's own
				walk(append(slices.Clone(words), name))
			}
		}
	}
	walk(nil)
	if len(all) < 10 {
		t.Fatalf("only these commands: %v", slices.Sorted(maps.Keys(all)))
	}
	return all
}

// flags are those that a help shows, without --help.
func flags(help string) map[string]bool {
	all := map[string]bool{}
	for _, found := range helpFlag.FindAllStringSubmatch(help, -1) {
		if found[1] != "--help" {
			all[found[1]] = true
		}
	}
	return all
}

// options are those of the table of OPERATIONS.
func options(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, row := range rows(section(t, "OPERATIONS.md", "## Options of `imagefs mount`")) {
		for _, name := range flagName.FindAllString(row[0], -1) {
			all[name] = true
		}
	}
	return all
}

func TestMountOptions(t *testing.T) {
	compare(t, "options of imagefs mount", options(t), flags(output(t, "mount", "--help")))
}

var keyOfFile = regexp.MustCompile(`(?m)^(?:# )?([a-z-]+):`)

// The keys of the file are the options, but for --config, and the token, which has none.
func TestConfigurationKeys(t *testing.T) {
	documented, real := map[string]bool{"token": true}, map[string]bool{}
	for name := range options(t) {
		if name != "--config" {
			documented[strings.TrimPrefix(name, "--")] = true
		}
	}
	for _, found := range keyOfFile.FindAllStringSubmatch(output(t, "config", "show"), -1) {
		real[found[1]] = true
	}
	compare(t, "keys of the configuration", documented, real)
	variables := map[string]bool{"IMAGEFS_CONFIG": true}
	for key := range real {
		variables["IMAGEFS_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_"))] = true
	}
	for _, path := range append(documents(t), "../packaging/imagefs@.service") {
		for _, name := range regexp.MustCompile(`\bIMAGEFS_[A-Z_]+\b`).FindAllString(read(t, path), -1) {
			if !variables[name] && name != "IMAGEFS_BENCH_CLOUD" { // of the benchmarks
				t.Errorf("%s: there is no variable %s", path, name)
			}
		}
	}
}

// The files of --config that are shown can be used.
func TestConfigurationFiles(t *testing.T) {
	found := 0
	for _, path := range documents(t) {
		for _, block := range regexp.MustCompile("(?s)\n```yaml\n(# imagefs mount --config .*?)```").FindAllStringSubmatch(read(t, path), -1) {
			file := filepath.Join(t.TempDir(), "images.yaml")
			if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			output(t, "config", "show", "--config", file)
			found++
		}
	}
	if found == 0 {
		t.Error("no document shows one")
	}
}

// codeSpan is code in a line of a text.
var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// Every command and every flag is in the documents, and no other.
func TestFlagsInDocuments(t *testing.T) {
	known, all, named := commands(t), map[string]bool{}, map[string]bool{}
	for _, of := range known {
		maps.Copy(all, of)
	}
	words := slices.SortedFunc(maps.Keys(known), func(a, b string) int { return len(b) - len(a) })
	// A command line in a code block or a span; what follows a pipe is another program's.
	commandLine := regexp.MustCompile(`(?:^|[\s$/])imagefs (` + strings.Join(words, "|") + `)\b([^|;&#\n]*)`)
	shown := map[string]bool{}
	for _, path := range documents(t) {
		for n, line := range strings.Split(read(t, path), "\n") {
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				name, _, _ := strings.Cut(span[1], " ")
				if flagName.FindString(name) != name {
					continue
				}
				named[name] = true
				if !all[name] {
					t.Errorf("%s:%d: no command of imagefs has the flag %s", path, n+1, name)
				}
			}
			for _, found := range commandLine.FindAllStringSubmatch(strings.ReplaceAll(line, "`", "\n"), -1) {
				shown[found[1]] = true
				for _, name := range flagName.FindAllString(found[2], -1) {
					named[name] = true
					if !known[found[1]][name] {
						t.Errorf("%s:%d: imagefs %s has no flag %s", path, n+1, found[1], name)
					}
				}
			}
		}
	}
	for _, command := range words {
		if !shown[command] {
			t.Errorf("imagefs %s is not documented", command)
		}
		for _, name := range slices.Sorted(maps.Keys(known[command])) {
			if !named[name] {
				t.Errorf("%s of imagefs %s is not documented", name, command)
			}
		}
	}
}
