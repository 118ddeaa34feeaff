package main

import (
	"cmp"
	"math"
	"slices"
)

// median of no figures is 0.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// A span is where a median is, at 95%. Between no figures there is none.
type span struct{ least, most float64 }

// interval is that of the median of at least 20 figures, of fewer it says little: the two
// that are as far from the middle as the ranks of 95 of 100 samples are (a binomial distribution).
func interval(figures []float64) (s span, ok bool) {
	const fewest, deviations = 20, 1.96
	n := float64(len(figures))
	if n < fewest {
		return span{}, false
	}
	sorted := slices.Sorted(slices.Values(figures))
	rank := func(deviations float64) float64 { return sorted[int(math.Ceil(n/2+deviations*math.Sqrt(n)/2))-1] }
	return span{rank(-deviations), rank(deviations)}, true
}

// column is one metric of every turn in which it was measured.
func (c contenderResult) column(m metric) []float64 {
	var figures []float64
	for _, v := range c.runs {
		if x, ok := v[m.key]; ok {
			figures = append(figures, x)
		}
	}
	return figures
}

// ratios are those of each turn; there are none where they were not measured side by side.
func ratios(of, over contenderResult, m metric) (ratios []float64) {
	for i := range min(len(of.runs), len(over.runs)) {
		a, measured := of.runs[i][m.key]
		b, compared := over.runs[i][m.key]
		if measured && compared && b != 0 {
			ratios = append(ratios, a/b)
		}
	}
	return ratios
}

// A verdict is what became of a target.
type verdict struct {
	figure   float64
	measured bool
	met      bool
	within   span // where the figure's median is; none where there were few turns
}

// judge looks whether a target was met.
func (r result) judge(t target) verdict {
	var figures [][]float64 // each of every turn; the median counts
	of := slices.IndexFunc(r.rows, func(c contenderResult) bool { return c.name == t.of })
	if of < 0 {
		return verdict{}
	}
	if t.over == nil {
		if column := r.rows[of].column(t.metric); len(column) > 0 {
			figures = append(figures, column)
		}
	}
	for i, c := range r.rows {
		if i == of || t.over == nil || !wanted(c.name, t.over) {
			continue
		}
		if x := ratios(r.rows[of], c, t.metric); len(x) > 0 {
			figures = append(figures, x)
		}
	}
	if len(figures) == 0 {
		return verdict{}
	}
	byMedian := func(a, b []float64) int { return cmp.Compare(median(a), median(b)) }
	decides := slices.MinFunc(figures, byMedian)
	if t.most > 0 {
		decides = slices.MaxFunc(figures, byMedian)
	}
	worst := median(decides)
	within, _ := interval(decides)
	met := (t.least == 0 || worst >= t.least) && (t.most == 0 || worst <= t.most)
	return verdict{figure: worst, measured: true, met: met, within: within}
}
