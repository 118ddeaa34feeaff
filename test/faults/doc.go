// Package faults has the table of faults: what each operation answers, and how soon, when
// one of its requests fails, once or always, in each way that package fault knows. The table
// is in docs/RELIABILITY.md, and the test does what it says through the real binary and a
// mount. It starts no goroutine but those of the operations that it waits for.
package faults
