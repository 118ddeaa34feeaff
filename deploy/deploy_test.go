// Package deploy has what Prometheus and Grafana need to watch mounts. It has no code of
// its own; its tests hold it to the metrics that there are.
package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/imagefs/imagefs/metrics"
)

const (
	rules     = "prometheus/imagefs.rules.yaml"
	dashboard = "grafana/imagefs.json"
)

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", rules)
	promtool(t, "test", "rules", "prometheus/imagefs.rules.test.yaml")
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			exist(t, r.Alert, r.Expr)
		}
	}
}

// The metrics that a mount gives are of the form that Prometheus wants.
func TestMetrics(t *testing.T) {
	for _, scraped := range []string{"busy.prom", "idle.prom"} {
		text, err := os.Open(filepath.Join("..", "metrics", "testdata", scraped))
		if err != nil {
			t.Fatal(err)
		}
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = text
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", scraped, err, out)
		}
		if err := text.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Each plot of the dashboard asks for metrics that there are, in PromQL.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	type record struct{ Record, Expr string }
	var all []record
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels are %d", p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			exist(t, p.Title, target.Expr)
			// What Grafana puts in its place.
			all = append(all, record{"x", strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)})
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d plots: has the form of the dashboard changed?", len(all))
	}
	asked, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": all}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, asked, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", path)
}

var (
	ours   = regexp.MustCompile(`\bimagefs_[a-z_]+`)
	series = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// exist reports the metrics of an expression that nobody defines.
func exist(t *testing.T, where, expr string) {
	t.Helper()
	for _, name := range ours.FindAllString(expr, -1) {
		found := false
		for _, d := range metrics.Definitions() {
			found = found || d.Name == name || d.Type == metrics.Histogram && d.Name == series.ReplaceAllString(name, "")
		}
		if !found {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}
