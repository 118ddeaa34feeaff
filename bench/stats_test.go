package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func runs(figures ...float64) []values {
	var all []values
	for _, x := range figures {
		all = append(all, values{speed.key: x})
	}
	return all
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.of); got != c.want {
			t.Errorf("median of %v: %v", c.of, got)
		}
	}
}

// The interval of 40 figures is from the 14th to the 27th, as tables of the binomial
// distribution have it.
func TestInterval(t *testing.T) {
	var figures []float64
	for x := 40.0; x > 0; x-- {
		figures = append(figures, x)
	}
	if s, ok := interval(figures); !ok || s != (span{14, 27}) {
		t.Errorf("%v, %v", s, ok)
	}
	if s, ok := interval(figures[:19]); ok {
		t.Errorf("of few: %v", s)
	}
	r := result{rows: []contenderResult{{name: "a", runs: runs(figures...)}}}
	if text := r.judge(target{of: "a", metric: speed, most: 21}).text(); text != "20.5 (14 to 27)" {
		t.Error(text)
	}
}

// A ratio is the median of each turn's, which is not that of the medians.
func TestRatio(t *testing.T) {
	a, b := contenderResult{runs: runs(10, 20, 30)}, contenderResult{runs: runs(20, 20, 10, 7)}
	if x := median(ratios(a, b, speed)); x != 1 {
		t.Error(x)
	}
	if len(ratios(a, contenderResult{}, speed)) > 0 {
		t.Error("a ratio to nothing")
	}
	if len(ratios(a, b, latency)) > 0 {
		t.Error("a ratio of what was not measured")
	}
}

func TestJudge(t *testing.T) {
	r := result{rows: []contenderResult{
		{name: "imagefs", runs: runs(90, 100, 110)},
		{name: "rclone a", runs: runs(50, 50, 50)},
		{name: "rclone b", runs: runs(80, 80, 80)},
		{name: "below", runs: []values{{resident.key: -169}}},
		{name: "silent"},
	}}
	of := func(over []string, least, most float64) target {
		return target{of: "imagefs", over: over, metric: speed, least: least, most: most}
	}
	for _, c := range []struct {
		name   string
		target target
		want   verdict
	}{
		{"a figure", of(nil, 100, 0), verdict{figure: 100, measured: true, met: true}},
		{"too small a figure", of(nil, 101, 0), verdict{figure: 100, measured: true, met: false}},
		{"too great a figure", of(nil, 0, 99), verdict{figure: 100, measured: true, met: false}},
		{"between", of(nil, 99, 101), verdict{figure: 100, measured: true, met: true}},
		{"the best of the others decides", of([]string{"rclone"}, 1.5, 0), verdict{figure: 1.25, measured: true, met: false}},
		{"less than nothing is at most something", target{of: "below", metric: resident, most: 128}, verdict{figure: -169, measured: true, met: true}},
		{"less than nothing is not at least something", target{of: "below", metric: resident, least: 1}, verdict{figure: -169, measured: true, met: false}},
		{"most: the worst ratio", of([]string{"rclone"}, 0, 1.5), verdict{figure: 2, measured: true, met: false}},
		{"all others", of([]string{}, 1, 0), verdict{figure: 1.25, measured: true, met: true}},
		{"nobody there", of([]string{"curl"}, 1, 0), verdict{}},
		{"one who said nothing", target{of: "silent", metric: speed, least: 1}, verdict{}},
		{"nobody to judge", target{of: "x", metric: speed, least: 1}, verdict{}},
		{"another metric", target{of: "imagefs", metric: rate, least: 1}, verdict{}},
	} {
		if diff := cmp.Diff(c.want, r.judge(c.target), cmp.AllowUnexported(verdict{}, span{})); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
