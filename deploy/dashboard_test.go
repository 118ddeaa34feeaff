package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/daemon"
)

type source struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Datasource  *source
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct {
		RefID, Expr, LegendFormat string
		Datasource                source
	}
}

func panels(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile("grafana/imagefs.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels     []panel
		Templating struct {
			List []struct {
				Name, Type, Query any
				Datasource        source
			}
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	// Of which Prometheus it is who looks chooses, and the other variable is asked of that.
	if v := board.Templating.List; len(v) != 2 || v[0].Name != "source" || v[0].Type != "datasource" || v[0].Query != "prometheus" ||
		v[1].Name != "instance" || v[1].Datasource != chosen {
		t.Errorf("the variables are %+v", v)
	}
	return board.Panels
}

var chosen = source{"prometheus", "${source}"}

// Each plot has a unit and a place of its own, names what it shows, and asks for metrics that
// there are, of the Prometheus that was chosen.
func TestDashboard(t *testing.T) {
	ids, taken := map[int]bool{}, map[[2]int]string{}
	plots := 0
	for _, p := range panels(t) {
		if ids[p.ID] {
			t.Errorf("two panels are %d", p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 { // Grafana's columns
					t.Errorf("%s: no room at %v, where %q is", p.Title, at, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource == nil || *p.Datasource != chosen || len(p.Targets) == 0 {
			t.Errorf("panel %d has no title, unit, source of its data or query: %+v", p.ID, p)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			plots++
			if target.LegendFormat == "" || target.RefID == "" || refs[target.RefID] || target.Datasource != chosen {
				t.Errorf("%s: %+v", p.Title, target)
			}
			refs[target.RefID] = true
			exist(t, p.Title, target.Expr)
		}
	}
	if plots < 20 {
		t.Errorf("only %d plots: has the form of the dashboard changed?", plots)
	}
}

// Each query of the dashboard has an answer where Prometheus scrapes a mount that was used,
// under whatever name of the job.
func TestDashboardOfAMount(t *testing.T) {
	dir := t.TempDir()
	binary, err := daemon.BuildWith(dir)
	if err != nil {
		t.Fatal(err)
	}
	service := daemon.Serve(t, t.TempDir())
	d := daemon.Run(t, binary, dir, "--endpoint", service.URL(), "--metrics", "127.0.0.1:0")
	path := filepath.Join(d.Mountpoint, "disk.raw")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	// What was written here may lie whole in the cache already: the kernel reads it directly.
	elsewhere := []byte("what another has uploaded")
	if _, err := service.Upload(t.Context(), image.New{Name: "elsewhere.raw"}, elsewhere); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(d.Mountpoint, "elsewhere.raw")); err != nil || !bytes.Equal(got, elsewhere) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := os.ReadDir(d.Mountpoint); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".gone"); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	log, err := os.ReadFile(d.Log)
	if err != nil {
		t.Fatal(err)
	}
	served := regexp.MustCompile(`msg="metrics are served" url=(\S+)`).FindSubmatch(log)
	if served == nil {
		t.Fatal("the log does not say where the metrics are")
	}
	answers(t, get(t, string(served[1])), "imagefs_request_retries_total") // nothing had to be made again
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, answer.Status, err)
	}
	return string(text)
}

// answers has promtool ask all queries of the dashboard, but for those of one metric, of a
// Prometheus that has scraped these series. What they count goes up by one a minute: that it
// is there is what matters.
func answers(t *testing.T, scraped, but string) {
	t.Helper()
	type series struct{ Series, Values string }
	var have []series
	for line := range strings.Lines(scraped) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, labels, labelled := strings.Cut(line[:strings.LastIndexByte(line, ' ')], "{")
		if !labelled {
			labels = "}"
		}
		have = append(have, series{name + `{instance="a:1",job="images",` + labels, "1+1x10"})
	}
	type sample struct {
		Labels string
		Value  float64
	}
	type query struct {
		Expr       string
		EvalTime   string   `yaml:"eval_time"`
		ExpSamples []sample `yaml:"exp_samples"`
	}
	var asked []query
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, but) {
				// What Grafana puts in its place.
				expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", "a:1").Replace(target.Expr)
				asked = append(asked, query{fmt.Sprintf("count(%s) > bool 0", expr), "10m", []sample{{"{}", 1}}})
			}
		}
	}
	file, err := yaml.Marshal(map[string]any{"tests": []any{map[string]any{"interval": "1m", "input_series": have, "promql_expr_test": asked}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", path)
}
