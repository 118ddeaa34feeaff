// Bench runs the same work on imagefs and on its peers, in one run, and prints
// what each needed. With -write the figures go into docs/BENCHMARKS.md.
//
//	make bench                         everything, and the document
//	go run ./bench -list               the rows
//	go run ./bench -only cold-shaped   one of them, on stdout only
//	go run ./bench -only watched       what metrics and the page cost, in 40 turns: 5 minutes
//
// A row is one kind of work. Its contenders take turns (A B C, A B C, …), each
// time from the state that the row says, cold or warm; the figures are medians,
// and a ratio is the median of the ratios of each turn, for machines are noisy and
// noise comes in phases.
//
// A lab is where that happens: one directory with an embedded server (`imagefs
// serve`, a process of its own) and a static server of the same files in this
// process, each reachable plainly and through a link (package link) of one shape.
// Everything ends with the lab: mounts, processes, files. A signal ends it too.
//
// Goroutines: those of the links and of the static server, which the lab ends, and
// readers, which the measurement that started them waits for.
package main
