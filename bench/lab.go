package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/imagefs/imagefs/bench/link"
)

// shape is the link of the shaped rows.
var shape = link.Shape{RTT: 20 * time.Millisecond, Each: 50e6, Total: 400e6}

// lab is where a row's work is done. It is used by one goroutine.
type lab struct {
	options options
	dir     string // everything that is made lies below it
	shaped  *site
	plain   *site
	large   published // random bytes, options.size of them
	small   published // the same, fewer
	hot     []string  // files that must come from the page cache
	ends    []func() error
}

// openLab starts the servers and publishes the images that most rows read. The
// caller closes the lab.
func openLab(ctx context.Context, o options) (l *lab, err error) {
	dir, err := os.MkdirTemp("", "imagefs-bench-")
	if err != nil {
		return nil, err
	}
	l = &lab{options: o, dir: dir}
	made := l // return nil, err clears l
	defer func() {
		if err != nil {
			err = errors.Join(err, made.close())
		}
	}()
	if l.options.imagefs, err = filepath.Abs(o.imagefs); err != nil {
		return nil, err
	}
	if l.plain, err = l.newSite(ctx, "served"); err != nil {
		return nil, err
	}
	if l.shaped, err = l.behind(l.plain, shape); err != nil {
		return nil, err
	}
	if l.large, err = l.publish(ctx, l.plain, "large.raw", "raw", o.size, noise(1, o.size)); err != nil {
		return nil, err
	}
	l.small, err = l.publish(ctx, l.plain, "small.raw", "raw", o.size/smallPart, noise(2, o.size/smallPart))
	return l, err
}

// atEnd registers what the scope's or the lab's end calls, the last first.
func (l *lab) atEnd(end func() error) { l.ends = append(l.ends, end) }

// scope begins a part of the lab's time; the function returned ends what was
// registered in it.
func (l *lab) scope() func() error {
	ends, hot := l.ends, l.hot
	l.ends, l.hot = nil, slices.Clone(hot)
	return func() error {
		err := l.end()
		l.ends, l.hot = ends, hot
		return err
	}
}

func (l *lab) end() error {
	var errs []error
	for _, end := range slices.Backward(l.ends) {
		errs = append(errs, end())
	}
	l.ends = nil
	return errors.Join(errs...)
}

// close ends everything. What is still mounted below the directory would be
// deleted with it: then the directory stays.
func (l *lab) close() error {
	if err := l.end(); err != nil {
		return fmt.Errorf("%w; %s is left behind", err, l.dir)
	}
	return os.RemoveAll(l.dir)
}

// temp makes a directory for one measurement, which removes it.
func (l *lab) temp(name string) (string, error) { return os.MkdirTemp(l.dir, name+"-") }

// warm reads the files that the servers serve, so that no measurement waits for
// the disk.
func (l *lab) warm(ctx context.Context) error {
	for _, path := range l.hot {
		if _, err := readFile(ctx, path); err != nil {
			return err
		}
	}
	return nil
}
