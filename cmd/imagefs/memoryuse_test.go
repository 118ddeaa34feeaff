package main

import (
	"runtime"
	"testing"
)

func TestMemoryUse(t *testing.T) {
	held := make([]byte, 64<<20)
	for i := range held { // touched, so that it is resident
		held[i] = 1
	}
	runtime.GC()
	with := memoryUse()
	if with.HeapLive < int64(len(held)) || with.Resident < with.HeapLive {
		t.Errorf("%+v while %d bytes are held", with, len(held))
	}
	runtime.KeepAlive(held)
	runtime.GC()
	if without := memoryUse(); without.HeapLive > with.HeapLive-(32<<20) {
		t.Errorf("%+v after they were let go, %+v before", without, with)
	}
}
