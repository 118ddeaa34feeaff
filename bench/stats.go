package main

import "slices"

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

// ratio is the median of the ratios of each turn; ok is false where they were not
// measured side by side.
func ratio(of, over contenderResult, m metric) (x float64, ok bool) {
	var ratios []float64
	for i := range min(len(of.runs), len(over.runs)) {
		a, measured := of.runs[i][m.key]
		b, compared := over.runs[i][m.key]
		if measured && compared && b != 0 {
			ratios = append(ratios, a/b)
		}
	}
	return median(ratios), len(ratios) > 0
}

// A verdict is what became of a target.
type verdict struct {
	figure   float64
	measured bool
	met      bool
}

// judge looks whether a target was met.
func (r result) judge(t target) verdict {
	var figures []float64
	of := slices.IndexFunc(r.rows, func(c contenderResult) bool { return c.name == t.of })
	if of < 0 {
		return verdict{}
	}
	if t.over == nil {
		if column := r.rows[of].column(t.metric); len(column) > 0 {
			figures = append(figures, median(column))
		}
	}
	for i, c := range r.rows {
		if i == of || t.over == nil || !wanted(c.name, t.over) {
			continue
		}
		if x, ok := ratio(r.rows[of], c, t.metric); ok {
			figures = append(figures, x)
		}
	}
	if len(figures) == 0 {
		return verdict{}
	}
	worst := slices.Min(figures)
	if t.most > 0 {
		worst = slices.Max(figures)
	}
	met := (t.least == 0 || worst >= t.least) && (t.most == 0 || worst <= t.most)
	return verdict{figure: worst, measured: true, met: met}
}
