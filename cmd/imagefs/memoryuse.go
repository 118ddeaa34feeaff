package main

import (
	"bytes"
	"os"
	"runtime/metrics"
	"strconv"

	status "github.com/imagefs/imagefs/metrics"
)

// memoryUse is what the daemon has of memory now.
func memoryUse() status.Memory {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m := status.Memory{}
	if live[0].Value.Kind() == metrics.KindUint64 { // a name that Go no longer knows has none
		m.HeapLive = int64(live[0].Value.Uint64())
	}
	// Pages, the second word those that are resident; without it they are not shown.
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if words := bytes.Fields(statm); len(words) > 1 {
			pages, _ := strconv.ParseInt(string(words[1]), 10, 64)
			m.Resident = pages * int64(os.Getpagesize())
		}
	}
	return m
}
