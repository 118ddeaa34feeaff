package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func command() (err error) {
	o := options{fixed: fixedSize, round: roundTime, rest: restTime, verbose: true}
	minutes := flag.Float64("minutes", 15, "how long")
	flag.StringVar(&o.service, "service", "embedded", "the Image service: embedded, or glance for a Keystone and a Glance of its own")
	flag.Uint64Var(&o.seed, "seed", 0, "what happens when; 0: something new")
	flag.StringVar(&o.only, "only", "", "what goes wrong in every round, as the log names it; all in turn without")
	keep := flag.Bool("keep", false, "leave its directory, with the logs, where it fails")
	write := flag.Bool("write", false, "write the figures into docs/RELIABILITY.md")
	flag.BoolVar(&o.race, "race", false, "build the daemon with the race detector; then its memory is not compared")
	flag.Parse()
	o.length = time.Duration(*minutes * float64(time.Minute))
	o.rest = min(o.rest, o.length/10)
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	fmt.Fprintf(os.Stderr, "soak: -seed %d\n", o.seed)
	root, err := repository()
	if err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp("", "imagefs-soak-"); err != nil {
		return err
	}
	defer func() {
		if err != nil && *keep {
			fmt.Fprintln(os.Stderr, "soak: its directory is", o.dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(o.dir))
	}()
	f, err := run(o)
	fmt.Print(f.text())
	if err == nil && *write {
		err = f.write(filepath.Join(root, "docs", "RELIABILITY.md"))
	}
	return err
}
