package link

import (
	"net"
	"sync"
	"time"
)

const (
	// pieceSize is how many bytes travel at once. Less costs processor time that
	// those who are measured need, more delays the first byte of an answer.
	pieceSize = 64 << 10
	// ahead is how far a reader may reserve into the future, so that no capacity is
	// lost when a busy machine wakes it late. It is also the most that one
	// connection has waiting in the limiters: the queue of a router.
	ahead = 4 * time.Millisecond
	// pieces that one direction of a connection may hold. At 50 MB/s, 14 ms are 11
	// of them; without a limit this is a window of 4 MiB.
	pieces = 64
)

// piece is some bytes on their way.
type piece struct {
	buf *[pieceSize]byte
	n   int
	due time.Time // when its last byte arrives
}

var buffers = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// carry serves one connection until both directions are over.
func (l *Link) carry(client *net.TCPConn) {
	defer l.drop(client)
	if !l.track(client) {
		return
	}
	l.counter.connected()
	conn, err := net.Dial("tcp", l.backend)
	if err != nil {
		return // the client sees its connection cut
	}
	server := conn.(*net.TCPConn)
	defer l.drop(server)
	if !l.track(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.direction(client, server, &limiter{}, &limiter{}, l.counter.up, nothing) })
	both.Go(func() { l.direction(server, client, &limiter{rate: l.shape.Each}, &l.total, nothing, l.counter.down) })
	both.Wait()
}

func nothing([]byte) {}

// direction carries bytes one way until there are no more or either end is gone.
// sent and arrived are told of each piece.
func (l *Link) direction(from, to *net.TCPConn, each, total *limiter, sent, arrived func([]byte)) {
	line := make(chan piece, pieces)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(line)
		for {
			buf := buffers.Get().(*[pieceSize]byte)
			n, err := from.Read(buf[:])
			if n > 0 {
				sent(buf[:n])
				now := time.Now()
				left := each.reserve(now, n)
				if all := total.reserve(now, n); all.After(left) {
					left = all
					each.hold(all)
				}
				line <- piece{buf, n, left.Add(l.shape.RTT / 2)}
				time.Sleep(left.Sub(now) - ahead)
			}
			if err != nil {
				return
			}
		}
	})
	if deliver(line, to, arrived) != nil {
		// Nobody takes the rest: the other end must hear of it, as it does of a close
		// that fails, too.
		_, _ = from.Close(), to.Close()
	}
	for p := range line {
		buffers.Put(p.buf)
	}
	reader.Wait()
}

// deliver writes each piece when it is due, and then says that there are no more.
func deliver(line <-chan piece, to *net.TCPConn, arrived func([]byte)) error {
	t, err := newTimer()
	if err != nil {
		return err
	}
	defer t.close()
	for p := range line {
		if err := t.until(p.due); err != nil {
			return err
		}
		arrived(p.buf[:p.n])
		_, err := to.Write(p.buf[:p.n])
		buffers.Put(p.buf)
		if err != nil {
			return err
		}
	}
	return to.CloseWrite()
}
