package client

import (
	"context"
	"sync"
)

// keyLock is a lock per key. Waiting obeys the ctx, and a key that nobody holds
// or waits for takes no memory.
type keyLock struct {
	mu   sync.Mutex // guards the field below
	keys map[string]*keyHolders
}

type keyHolders struct {
	turn  chan struct{} // holds one element while the key is locked
	users int           // holding or waiting; guarded by keyLock.mu
}

func newKeyLock() *keyLock { return &keyLock{keys: make(map[string]*keyHolders)} }

// lock locks the key and returns what unlocks it, or the ctx's error.
func (l *keyLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	k := l.keys[key]
	if k == nil {
		k = &keyHolders{turn: make(chan struct{}, 1)}
		l.keys[key] = k
	}
	k.users++
	l.mu.Unlock()
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn; l.leave(key, k) }, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, ctx.Err()
	}
}

func (l *keyLock) leave(key string, k *keyHolders) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.keys, key)
	}
}
