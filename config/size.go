package config

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// ParseSize reads a size in bytes: "256MiB" and "2GiB" are powers of 1024,
// "256MB" of 1000, a bare number is bytes.
func ParseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(strings.TrimSpace(s))
	if err != nil || strings.TrimSpace(s) == "" {
		return 0, fmt.Errorf("%q is not a size: write for example 256MiB or 2GiB", s)
	}
	if n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is more than any machine has: write for example 256MiB or 2GiB", s)
	}
	return int64(n), nil
}

// FormatSize writes a size so that ParseSize reads the same number where it is a
// whole count of its unit, and a rounded one otherwise.
func FormatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	unit := 0
	for n >= 1024 && n%1024 == 0 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	if n < 10_000 {
		return fmt.Sprintf("%d%s", n, units[unit])
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(n)<<(10*unit)), " ", "")
}
