// Package documents does what the documents tell their readers to do: the commands of
// their console blocks run in order, each section in a world of its own, and what they
// print has the shape of what the document shows. `go test ./test/documents -rewrite`
// writes what they print into the documents.
package documents
