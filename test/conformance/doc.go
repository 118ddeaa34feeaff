// Package conformance runs every operation that POSIX and Linux have for files on a real
// mount, one row of a table each, and what stress-ng does to filesystems. The table is
// that of docs/RELIABILITY.md.
package conformance
