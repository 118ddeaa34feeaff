// Package fault has a proxy before an Image service that lets requests fail as services,
// stores, proxies and lines do, on purpose and in a known way, and a small Keystone whose
// tokens can be made to expire.
//
// A Proxy starts one goroutine for its listener and one for each connection. What waits in
// one of its faults does so until Close, or until its client has gone. Close ends and waits
// for all of them. Proxy.mu and Keystone.mu are not held across network I/O, and neither is
// taken under the other.
package fault
