// Package client is the Image service as imagefs needs it: list, get, open a
// span of data, create, upload, update, delete. It is the only place where HTTP
// and transport failures become an image.Kind (kinds.go), and the only package
// that knows gophercloud, which reads clouds.yaml, authenticates with Keystone
// and finds the endpoint. The requests to the Image service are made here: they
// need ranges, bounded answers and a body that is sent once, which gophercloud's
// request function does not have.
//
// Layers, from the wire up: a transport (transport.go) that speaks HTTP/1.1,
// connects and redirects with care; a watchdog (watchdog.go) that fails a request
// without progress; one try of a request with the token (request.go), which asks
// for a new token once after a 401 (identity.go); retries where a retry is safe
// (retry.go); then one file per operation. A span (span.go) goes on at its offset
// after a broken connection.
//
// Goroutines: a renewal of the token runs in its own, so that the caller who
// noticed first can be cancelled without failing the others; Close ends it. List
// asks for each page in one of its own, which has ended when List returns. The
// connections' goroutines belong to net/http: they end with their request or, when
// idle, by Close. Bodies must be closed by whoever opened them.
//
// Locks: the mutex of one image (keylock.go) orders the updates of that image and
// is the only lock held while a request runs, since that order is its purpose; it
// is taken first. session.mu, ranges.mu, spanReader.mu and quiet.mu are leaves:
// nothing is called while they are held.
//
// Units: offsets, sizes and limits are bytes; min_disk is GiB, min_ram MiB, as the
// service has them.
package client
