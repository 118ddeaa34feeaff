package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what it does follows from it")
	ops := flag.Int("ops", 10_000, "how many operations")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: fsx [-seed N] [-ops N] FILE")
		os.Exit(2)
	}
	if err := exercise(flag.Arg(0), *seed, *ops, nil); err != nil {
		fmt.Fprintln(os.Stderr, "fsx:", err)
		os.Exit(1)
	}
}
