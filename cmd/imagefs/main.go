package main

import (
	"context"
	"os"
)

func main() {
	std := streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if err := keepFromDumps(); err != nil {
		os.Exit(std.tell(err))
	}
	os.Exit(runAs(context.Background(), os.Args[0], os.Args[1:], std))
}
