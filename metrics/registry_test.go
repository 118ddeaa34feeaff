package metrics

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape is what a collector gets of the mount, without what is its Go runtime's and its
// process's.
func scrape(t *testing.T, s Snapshot) string {
	t.Helper()
	w := httptest.NewRecorder()
	operations, requests := NewOperations([]string{"read", "lookup"}), NewRequests()
	operations.Answered(0, 0, 30*time.Microsecond)
	operations.Answered(0, 0, 3*time.Second)
	operations.Answered(1, syscall.ENOENT, 2*time.Millisecond)
	operations.Answered(1, syscall.EOPNOTSUPP, time.Hour)
	requests.Ended("open span", "206", 70*time.Millisecond)
	Handler(NewRegistry(func() Snapshot { return s }, operations, requests), slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	var ours strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "imagefs_") {
			ours.WriteString(line)
		}
	}
	return regexp.MustCompile(`go="[^"]*"`).ReplaceAllString(ours.String(), `go="go1"`)
}

func TestMetrics(t *testing.T) {
	golden(t, "busy.prom", scrape(t, busy()))
	golden(t, "idle.prom", scrape(t, idle()))
}

func TestDefinitions(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, busy()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	var names []string
	for _, d := range Definitions() {
		names = append(names, d.Name)
		if d.Help == "" || !strings.HasSuffix(d.Help, ".") || strings.ContainsAny(d.Help, "|\n") {
			t.Errorf("%s: its help is %q", d.Name, d.Help)
		}
		unit := strings.TrimSuffix(d.Name, "_total")
		for _, u := range []string{unitBytes, unitSeconds} {
			if strings.HasSuffix(unit, "_"+u) != (d.Unit == u) {
				t.Errorf("%s: its unit is %q", d.Name, d.Unit)
			}
		}
	}
	slices.Sort(names)
	if all := len(names); len(slices.Compact(names)) != all {
		t.Error("a metric is defined twice")
	}
}
