package catalog

import "time"

// passRest is how many times as long as it takes a pass over the whole listing begins
// after the one before: 100,000 images take a real service 45 s, in which it reads
// every record, and a third of the time is the most that this may cost.
const passRest = 3

// promptPass is the longest that a pass may take for a reader to wait for it, where
// asking for what was changed is enough.
const promptPass = 2 * time.Second

// deltaMargin is by how much the API nodes of one service may differ in their clocks,
// and how long a change may take from its time stamp until it can be listed: what
// comes later is found by a pass. Asking for a minute more costs nothing.
const deltaMargin = time.Minute

// deltaAgain is how long a service that has refused to tell what was changed is not asked
// again: a policy or a proxy that was mended is noticed, and asking for nothing costs little.
const deltaAgain = 10 * time.Minute

// walkLen is how many lookups that cost a request show that somebody walks over the
// directory: more than one command asks for, and much fewer than its entries.
const walkLen = 8

// maxCrowded is how many names are looked up after one delta: each costs a request.
const maxCrowded = 16

// passDue reports whether the whole listing should be read: age is how long ago the
// last pass began, took how long that one took, or the last one that ended well.
func passDue(age, took, ttl time.Duration) bool { return age >= max(ttl, passRest*took) }

// deltaDue reports whether it is time to ask for changes where nobody waits for the
// answer: half of the time is the most that this may cost.
func deltaDue(age, took time.Duration) bool { return age >= 2*took }

// deltaBound is from when on changes are asked for after a refresh that took some
// time: what is older was there when it began. The service's clock is known only by
// its records, of which newest is the latest; now is the service's time as far as it
// is known, for a record's may be in the future.
func deltaBound(newest, now time.Time, took time.Duration) time.Time {
	if newest.After(now) {
		newest = now
	}
	return newest.Add(-took - deltaMargin).Truncate(time.Second)
}
