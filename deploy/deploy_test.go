// Package deploy has what Prometheus and Grafana need to watch mounts. It has no code of
// its own; its tests hold it to the metrics that there are.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/imagefs/imagefs/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rules = "prometheus/imagefs.rules.yaml"

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
