// Package churn has files made, filled, filled again and removed, as qemu-img and its users
// do, while requests fail and the local disk is full again and again. What counts is what
// the service has after each removal that ended well: nothing. A rename that fails half-way
// was found beside that, and has a test of its own.
package churn
