// Fsx does random things to one file, and knows what must be in it: it reads, writes,
// maps, truncates, makes holes, closes and opens again, and compares. What it does
// follows from a seed, so that a difference can be made again:
//
//	fsx [-seed N] [-ops N] FILE
//
// FILE is made where it is not there, and else begins with what it has. It is the
// exerciser of NeXT's and Apple's fsx, with an own hand. It starts no goroutines.
package main
