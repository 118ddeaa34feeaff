// Package several has several processes work on one mount at once, and beside it on a
// plain directory, which must be the same.
package several
