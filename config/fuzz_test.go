package config

import (
	"strings"
	"testing"
)

// FuzzFile: whatever is in a configuration file, reading it ends in known options or in a
// problem of one line that names the file.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "# only a comment\n", "cloud: mycloud\nmemory: 256MiB\n", "tag: [a, b]\n", "new-property:\n  a: b\n", "- a\n", "a: &x [*x]\n",
		"cloud: [a]\n", "cloud:\n", "cloud: a\ncloud: b\n", "? [a]\n: b\n", "<<: {cloud: a}\n", "--- a\n--- b\n", "\x00", "a: !!binary x\n", "%YAML 9.9\n---\n",
	} {
		f.Add([]byte(seed))
	}
	options := Options()
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := parseFile("images.yaml", data, options)
		if err != nil {
			if text := err.Error(); strings.ContainsAny(text, "\n\r") || !strings.HasPrefix(text, "images.yaml") {
				t.Fatalf("the error %q", text)
			}
			return
		}
		for name, v := range values {
			if o, ok := find(options, name); !ok || len(v.values) != 1 && !o.List && !o.Pairs || !strings.HasPrefix(v.origin, "images.yaml:") {
				t.Errorf("%s is %+v", name, v)
			}
		}
	})
}

// FuzzSize: what is read as a size is not less than nothing, and what it is written as is
// near it.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{"256MiB", "2GiB", "1.5 GB", "0", "-1", "9223372036854775807", "16EiB", "1e3", "NaN", "1,000", " 7 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseSize(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q", err)
			}
			return
		}
		if n > 1<<62 {
			return // what that is rounded to may be more than any machine has
		}
		again, err := ParseSize(FormatSize(n))
		if n < 0 || err != nil || again < n-n/16-1 || again-n > n/16+1 {
			t.Errorf("%q is %d, written as %s: %d, %v", text, n, FormatSize(n), again, err)
		}
	})
}

// FuzzPeriod: what is read as a period is written so that it is read as the same.
func FuzzPeriod(f *testing.F) {
	for _, seed := range []string{"36h", "7d", "1d12h", "0", "-1h", "65535d", "1d", "9223372036s", "1d-1h", "3d1.5h", "1us"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParsePeriod(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q", err)
			}
			return
		}
		if again, err := ParsePeriod(FormatPeriod(d)); d < 0 || err != nil || again != d {
			t.Errorf("%q is %v, written as %s: %v, %v", text, d, FormatPeriod(d), again, err)
		}
	})
}
