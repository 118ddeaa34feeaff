package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// result is what a row gave.
type result struct {
	row   row
	rows  []contenderResult
	taken time.Time
}

// contenderResult has one entry in runs for each turn.
type contenderResult struct {
	name, how string
	runs      []values
}

// measureAll measures rows in a lab of their own.
func measureAll(ctx context.Context, o options, rows []row) (results []result, err error) {
	l, err := openLab(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, r := range rows {
		result, err := measureRow(ctx, l, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Printf("\n%s\n", result.text())
		results = append(results, result)
	}
	return results, nil
}

func measureRow(ctx context.Context, l *lab, r row) (res result, err error) {
	fmt.Printf("%s: %s\n", r.name, r.title)
	end := l.scope()
	defer func() { err = errors.Join(err, end()) }()
	contenders, err := r.prepare(ctx, l)
	if err != nil {
		return res, fmt.Errorf("prepare: %w", err)
	}
	contenders = slices.DeleteFunc(contenders, func(c contender) bool { return !wanted(c.name, l.options.against) })
	if len(contenders) == 0 {
		return res, fmt.Errorf("-against leaves nothing to measure")
	}
	res = result{row: r, taken: time.Now()}
	for _, c := range contenders {
		res.rows = append(res.rows, contenderResult{name: c.name, how: c.how})
	}
	for turn := range l.options.runs {
		for i, c := range contenders {
			if err := l.warm(ctx); err != nil {
				return res, err
			}
			v, err := c.measure(ctx)
			if err != nil {
				return res, fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Printf("  %d  %-40s %s\n", turn+1, c.name, line(r.metrics, v))
			res.rows[i].runs = append(res.rows[i].runs, v)
		}
	}
	return res, nil
}

// wanted reports whether a name begins as one of the names does; all do as none.
func wanted(name string, begins []string) bool {
	return len(begins) == 0 || slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(name, b) })
}

func line(metrics []metric, v values) string {
	var words []string
	for _, m := range metrics {
		if x, ok := v[m.key]; ok {
			words = append(words, fmt.Sprintf(m.format+" %s", x, m.title))
		}
	}
	return strings.Join(words, ", ")
}
