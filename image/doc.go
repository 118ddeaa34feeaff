// Package image is the domain: an image record of the Image service, also packed into
// little memory (Packed), the key that names its bytes, a span of those bytes, and the
// kinds of error that the rooms hand to each other. It imports nothing of ours, starts no
// goroutine and takes no lock.
//
// Units: sizes and offsets are bytes; times are UTC with whole seconds, as the
// Image API v2 has them.
package image
