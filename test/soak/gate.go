package main

import (
	"sync"
	"syscall"
	"time"
)

// A gate is what every operation goes through. While it is closed, none begins.
type gate struct {
	mu      sync.Mutex // guards the fields below
	moved   *sync.Cond // running or closed has changed
	closed  bool
	ended   bool
	running int
	tools   map[int]bool // the process groups of programs under way
}

func newGate() *gate {
	g := &gate{tools: map[int]bool{}}
	g.moved = sync.NewCond(&g.mu)
	return g
}

// enter waits until the gate is open; false when there is nothing more to do. After true
// the caller calls leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.closed && !g.ended {
		g.moved.Wait()
	}
	if g.ended {
		return false
	}
	g.running++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.moved.Broadcast()
}

// close lets no operation begin, and waits for those under way, patience at most. It
// says how many have not ended.
func (g *gate) close(patience time.Duration) int {
	late := time.AfterFunc(patience, g.moved.Broadcast)
	defer late.Stop()
	deadline := time.Now().Add(patience)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.running > 0 && time.Now().Before(deadline) {
		g.moved.Wait()
	}
	return g.running
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.moved.Broadcast()
}

// end sends all who wait home.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	g.moved.Broadcast()
}

func (g *gate) began(group int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tools[group] = true
}

func (g *gate) over(group int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tools, group)
}

// kill ends the programs under way.
func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for group := range g.tools {
		_ = syscall.Kill(-group, syscall.SIGKILL) // it may just have ended
	}
}
