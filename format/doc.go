// Package format tells disk formats apart by content and finds what makes a new
// image unusable or unsafe as it is: bytes that live in other files, and
// compression that the container format does not announce. It also knows where the
// formats keep the tables that whoever opens a disk reads next.
//
// It is pure: it starts no goroutine, takes no lock, keeps no state, and reads a
// bounded number of bytes (at most a few MiB, a few dozen KiB for anything but
// hostile input) through the io.ReaderAt that it is given.
//
// Units: offsets and sizes are bytes. Formats are the Image service's words.
package format
