// Package model compares a mount with a plain directory: random sequences of
// operations are done in both, and results, error numbers and bytes must be the
// same after every step, and in the Image service at the end.
//
// It runs the real binary, built with the race detector, on the embedded server:
// `go test ./test/model` needs no other service. What a mount does otherwise by
// design (docs/SEMANTICS.md) stands where the model allows for it, with its reason.
//
// A failure is reproduced by the -rapid.seed that it prints; -model.steps makes
// longer runs.
package model
