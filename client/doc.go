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
// for a new token once after a 401 (identity.go); what the requests have to do with
// each other (traffic.go); retries where a retry is safe (retry.go); then one file per
// operation. A span (span.go) goes on at its offset after a broken connection.
//
// # When the service is in trouble
//
// Which failures count is in trouble.go: nothing answers at the address, 502, 503 and
// 504, a connection that breaks, a stall; never another answer, and of an image's data
// only what no store can be the cause of. Five in a row, with no answer between, open
// the circuit (circuit.go). Then one request at a time asks the service, with pauses
// from 0.1 to 5 seconds on the average, and any answer closes the circuit. For 15
// seconds since the first failure the others wait, as long as their own 15 seconds and
// their ctx allow: a restart takes 5 to 10 s, and must fail nothing. After that they wait
// for the next one that asks (7.5 s at most, less where their time is) and fail with it,
// by the kind of its failure, so that nobody hears of an outage that was over when he
// came. Those of a commit (image.Patiently) go on waiting, and those whose caller tries
// all again (image.Briefly) never wait. Nothing is asked when nobody asks, and what was
// known is forgotten after half a minute of that. Keystone has a circuit of its own, of
// the failures to get a token: also of those whose time is over while they wait for one,
// after 5 s or more.
//
// A Retry-After, of a 429 or a 503, holds up all requests, by a minute at most. Who has
// not the time fails at once. Those whom it or a circuit has held up go one after the
// other then, 50 a second.
//
// Retries beside that are paid from a budget (retrybudget.go): a fifth of the requests,
// five a second, and fifty at once. Who finds it empty waits for it, within its 15
// seconds. A transfer that is under way is touched by none of this.
//
// Libraries were looked at: gobreaker and failsafe-go let nobody wait for a circuit, and
// the former has no pauses that grow.
//
// Goroutines: a renewal of the token runs in its own, so that the caller who
// noticed first can be cancelled without failing the others; Close ends it. List
// asks for each page in one of its own, which has ended when List returns. The
// connections' goroutines belong to net/http: they end with their request or, when
// idle, by Close. Bodies must be closed by whoever opened them.
//
// Locks: the mutex of one image (keylock.go) orders the updates of that image and
// is the only lock held while a request runs, since that order is its purpose; it
// is taken first. session.mu, ranges.mu, spanReader.mu, traffic.mu and quiet.mu are leaves:
// nothing is called while they are held.
//
// Units: offsets, sizes and limits are bytes; min_disk is GiB, min_ram MiB, as the
// service has them.
package client
