package main

import (
	"slices"
)

// A state is what a name may stand for.
type state struct {
	there bool
	any   bool // some bytes: what a program left that writes a file in several closes
	data  []byte
	hash  string
}

var absent = state{}

// holding is the state of a file with these bytes, which are not changed any more.
func holding(data []byte) state { return state{there: true, data: data, hash: hashOf(data)} }

func (s state) is(size int64, hash string) bool {
	return s.there && (s.any || int64(len(s.data)) == size && (size == 0 || s.hash == hash))
}

// mayBeEmpty: there, and perhaps without a byte.
func (s state) mayBeEmpty() bool { return s.there && (s.any || len(s.data) == 0) }

// A file is a name of one worker.
type file struct {
	name string
	// may has what the name may stand for: one state, and after operations that failed
	// others, too.
	may []state
	// failed: an operation on it has, since the last look.
	failed bool
	// past is what it ever was since the last look.
	past []state
	// property is what may be set of it as a custom property; "" for not set.
	property []string
}

// now is what it stands for, if that is known.
func (f *file) now() (state, bool) { return f.may[0], len(f.may) == 1 && !f.may[0].any }

// set is for what was accepted.
func (f *file) set(s state) {
	f.past = append(f.past, f.may...)
	f.may = []state{s}
}

// maybe is for what failed: it may have happened.
func (f *file) maybe(others ...state) {
	f.failed = true
	for _, s := range others {
		if !slices.ContainsFunc(f.may, func(o state) bool { return o.there == s.there && o.any == s.any && o.hash == s.hash }) {
			f.may = append(f.may, s)
		}
	}
}

// may be these bytes?
func (f *file) mayHold(data []byte) bool {
	hash := hashOf(data)
	return slices.ContainsFunc(f.may, func(s state) bool { return s.is(int64(len(data)), hash) })
}

// A move is a rename that has failed: its bytes are at one of two names.
type move struct {
	what     state
	from, to *file
}
