package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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

// measureAll measures rows in a lab of their own, and writes each into the document
// if that is wanted. A row that fails does not keep the others from being measured.
func measureAll(ctx context.Context, o options, rows []row) (err error) {
	l, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	version, err := l.version(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		result, failed := measureRow(ctx, l, r)
		if failed == nil {
			fmt.Printf("\n%s\n", result.text())
			if o.write {
				failed = update("docs", []stored{result.store(version, machine())})
			}
		}
		if ctx.Err() != nil {
			return err
		}
		if failed != nil {
			failed = fmt.Errorf("%s: %w", r.name, failed)
			fmt.Fprintln(os.Stderr, "bench:", failed)
			err = errors.Join(err, failed)
		}
	}
	return err
}

// runs is how often a row is measured.
func (r row) runs(o options) int {
	switch {
	case o.runs > 0:
		return o.runs
	case r.turns > 0:
		return r.turns
	default:
		return defaultRuns
	}
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
	hung := map[string]bool{}
	for turn := range r.runs(l.options) {
		for i, c := range contenders {
			if hung[c.name] {
				continue
			}
			if err := l.warm(ctx); err != nil {
				return res, err
			}
			unix.Sync() // what the one before has left to be written is not this one's work
			if err := backMemory(r.fills * l.options.size); err != nil {
				return res, err
			}
			v, err := bounded(ctx, c)
			if c.after != nil && ctx.Err() == nil { // else all ends
				if failed := c.after(ctx, err); failed != nil {
					return res, fmt.Errorf("%s: %w", c.name, errors.Join(err, failed))
				}
			}
			switch {
			case errors.Is(err, errTooLong) && !strings.HasPrefix(c.name, imagefs):
				// A peer that hangs has no figure, and does not take the others'.
				hung[c.name] = true
				fmt.Printf("  %d  %-40s %v\n", turn+1, c.name, err)
				continue
			case err != nil:
				return res, fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Printf("  %d  %-40s %s\n", turn+1, c.name, line(r.metrics, v))
			res.rows[i].runs = append(res.rows[i].runs, v)
		}
	}
	return res, nil
}

// longest is how long one measurement may take. The longest that works takes half a
// minute.
const longest = 90 * time.Second

var errTooLong = fmt.Errorf("not done after %v", longest)

func bounded(ctx context.Context, c contender) (values, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errTooLong)
	defer cancel()
	v, err := c.measure(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return v, err
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
