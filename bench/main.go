package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"
)

// The sizes of the images that are read whole. Slow peers read the small one: at
// 50 MB/s the large one takes 21 s.
const (
	defaultSize = "1GiB"
	smallPart   = 4 // the small image is this part of the large one
)

// How often rows are measured that want no more. quickRuns, of -quick, are too few for the document.
const (
	defaultRuns = 5
	quickRuns   = 1
)

// options are the command line.
type options struct {
	only, against []string // nil is all
	runs          int      // 0 is what each row wants
	size          int64    // bytes of the large image
	imagefs       string
	rclone        string // the current one
	write         bool
	list          bool
}

// otherPrograms are what this one is when its first argument says so.
var otherPrograms = map[string]func(args []string) error{
	bareCommand:          serveBare,
	bareDirectoryCommand: serveBareDirectory,
	bareReaderCommand:    serveBareReader,
	gophercloudCommand:   listByGophercloud,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		if other := otherPrograms[args[0]]; other != nil {
			return other(args[1:])
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	rows, err := choose(allRows(), o.only)
	if err != nil {
		return err
	}
	if o.list {
		for _, r := range rows {
			fmt.Printf("%-18s %s\n", r.name, r.title)
		}
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err = measureAll(ctx, o, rows)
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted"), err)
	}
	return err
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "measure only these `ROWS`, separated by commas")
	against := flags.String("against", "", "measure only these `CONTENDERS` of each row, by the begin of their names")
	flags.Func("runs", fmt.Sprintf("measure everything `N` times (default %d, or what a row needs)", defaultRuns), func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return errors.New("fewer than one run measures nothing")
		}
		o.runs = n
		return nil
	})
	size := flags.String("size", defaultSize, "`SIZE` of the image that is read whole")
	quick := flags.Bool("quick", false, "one run, an eighth of the size: to see whether it works")
	flags.StringVar(&o.imagefs, "imagefs", "bin/imagefs", "the `PROGRAM` to measure")
	flags.StringVar(&o.rclone, "rclone", "", "the current rclone, a `PROGRAM`; Debian's is found by itself")
	flags.BoolVar(&o.write, "write", false, "write the figures into docs/BENCHMARKS.md")
	flags.BoolVar(&o.list, "list", false, "list the rows")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q: there are only flags", flags.Arg(0))
	}
	bytes, err := humanize.ParseBytes(*size)
	if err != nil {
		return o, fmt.Errorf("-size: %w", err)
	}
	o.size, o.only, o.against = int64(bytes), words(*only), words(*against)
	if *quick {
		o.runs, o.size = quickRuns, o.size/8
	}
	if o.size < 64<<20 {
		return o, errors.New("less than 64 MiB measures nothing")
	}
	if o.write && (len(o.against) > 0 || *quick) {
		return o, errors.New("-write: the document wants every contender at full size")
	}
	return o, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// choose picks rows by name.
func choose(rows []row, names []string) ([]row, error) {
	if len(names) == 0 {
		return rows, nil
	}
	var chosen []row
	for _, name := range names {
		found := false
		for _, r := range rows {
			if r.name == name {
				chosen, found = append(chosen, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only: no row is called %q, -list shows them", name)
		}
	}
	return chosen, nil
}
