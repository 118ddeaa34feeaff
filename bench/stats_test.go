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

// A ratio is the median of each turn's, which is not that of the medians.
func TestRatio(t *testing.T) {
	a, b := contenderResult{runs: runs(10, 20, 30)}, contenderResult{runs: runs(20, 20, 10, 7)}
	if x, ok := ratio(a, b, speed); x != 1 || !ok {
		t.Errorf("%v, %v", x, ok)
	}
	if _, ok := ratio(a, contenderResult{}, speed); ok {
		t.Error("a ratio to nothing")
	}
	if _, ok := ratio(a, b, latency); ok {
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
		{"a figure", of(nil, 100, 0), verdict{100, true, true}},
		{"too small a figure", of(nil, 101, 0), verdict{100, true, false}},
		{"too great a figure", of(nil, 0, 99), verdict{100, true, false}},
		{"between", of(nil, 99, 101), verdict{100, true, true}},
		{"the best of the others decides", of([]string{"rclone"}, 1.5, 0), verdict{1.25, true, false}},
		{"less than nothing is at most something", target{of: "below", metric: resident, most: 128}, verdict{-169, true, true}},
		{"less than nothing is not at least something", target{of: "below", metric: resident, least: 1}, verdict{-169, true, false}},
		{"most: the worst ratio", of([]string{"rclone"}, 0, 1.5), verdict{2, true, false}},
		{"all others", of([]string{}, 1, 0), verdict{1.25, true, true}},
		{"nobody there", of([]string{"curl"}, 1, 0), verdict{}},
		{"one who said nothing", target{of: "silent", metric: speed, least: 1}, verdict{}},
		{"nobody to judge", target{of: "x", metric: speed, least: 1}, verdict{}},
		{"another metric", target{of: "imagefs", metric: rate, least: 1}, verdict{}},
	} {
		if diff := cmp.Diff(c.want, r.judge(c.target), cmp.AllowUnexported(verdict{})); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
