package staging

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
)

// Base is what lies under a draft: the bytes of an existing image. ReadAt has
// the semantics of io.ReaderAt and may be called by several goroutines at once;
// ctx ends the caller's waiting. The draft that got a Base closes it, once.
type Base interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Close() error
}

// heldBase closes its Base when the draft and the last read have let go of it,
// so that Rebase and Close need not wait for a read from the network.
type heldBase struct {
	Base
	holders atomic.Int64
}

func holdBase(b Base) *heldBase {
	if b == nil {
		return nil
	}
	h := &heldBase{Base: b}
	h.holders.Store(1)
	return h
}

// hold must be called while another holder exists.
func (h *heldBase) hold() *heldBase {
	if h != nil {
		h.holders.Add(1)
	}
	return h
}

func (h *heldBase) release() error {
	if h == nil || h.holders.Add(-1) > 0 {
		return nil
	}
	return h.Close()
}

var errShortBase = errors.New("the base image ended early")

// read fills p from off on.
func (h *heldBase) read(ctx context.Context, p []byte, off int64) error {
	if h == nil {
		return errShortBase
	}
	n, err := h.ReadAt(ctx, p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return errShortBase
	default:
		return err
	}
}
