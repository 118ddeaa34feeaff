// Package link is a TCP proxy on loopback that behaves like a long cable: it
// delays every byte by half a round trip each way and limits what flows from the
// server to the client, for each connection and for all of them together. It
// counts what passes.
//
// It shapes the stream, not packets: opening a connection costs no round trip,
// and nothing is ever lost. Times are those of a cable with store and forward of
// 64 KiB: the last byte of an answer comes when it would, the first at most the
// transmission of 64 KiB (1.3 ms at 50 MB/s) late.
//
// Each connection has four goroutines, a reader and a writer for each direction.
// They end with the connection, and Close ends all of them and waits.
//
// Rates are bytes per second. The one lock, of the counters and of each limiter,
// is held for arithmetic only.
package link
