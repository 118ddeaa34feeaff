package main

import (
	"errors"
	"os"

	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

// leftBehind tells which files a mount has not uploaded when its daemon has ended.
// Those that had failed before are not named: their close, or the log, has said so.
type leftBehind struct {
	dir              string          // of staging; "" where the daemon has not said it
	service, project string          // of the mount
	before           map[string]bool // drafts that had been left in staging, or had failed, by then
}

// lookBefore looks at staging while the daemon lives.
func lookBefore(s metrics.Snapshot) leftBehind {
	l := leftBehind{dir: s.Options.StagingDir, service: s.Service.URL, project: s.Service.Project, before: map[string]bool{}}
	all, err := l.survey()
	if err != nil { // so it will be afterwards
		return l
	}
	for _, k := range all {
		if !k.Held || k.State == staging.StateFailed && !k.Owed() {
			l.before[k.Draft] = true
		}
	}
	for _, w := range s.Waiting { // its journal may not say so yet
		delete(l.before, w.Draft)
	}
	return l
}

func (l leftBehind) survey() ([]staging.Record, error) {
	if l.dir == "" {
		return nil, errNoDaemon
	}
	return staging.Survey(l.dir)
}

// failures are the files that are left, an error each. last is what the daemon has said
// last: all that is known where staging cannot be looked through, as by root where it is
// a user's.
func (l leftBehind) failures(last metrics.Snapshot) []error {
	why := map[string]string{}
	for _, w := range last.Waiting {
		why[w.Draft] = w.Error
	}
	all, err := l.survey()
	if err != nil {
		return leftOf(last, why)
	}
	var left []error
	for _, k := range all {
		another := k.Service != l.service || k.Project != "" && l.project != "" && k.Project != l.project
		nobodys := k.Unlinked || k.State == staging.StateAbandoned && !k.Unsure // its writer was killed, and knows
		if k.Held || k.Damage != "" || another || nobodys || l.before[k.Draft] {
			continue
		}
		reason := why[k.Draft]
		if reason == "" {
			reason = reasonOf(k)
		}
		left = append(left, leftFailure(nameOf(k), k.Path, reason, whatNext(k, l.project)))
	}
	return left
}

// leftOf are those of the files that the daemon was about whose bytes are still there.
func leftOf(last metrics.Snapshot, why map[string]string) []error {
	var left []error
	told := map[string]bool{}
	tell := func(draft, name, path string) {
		if _, err := os.Stat(path); told[draft] || path == "" || err != nil && !errors.Is(err, os.ErrPermission) {
			return
		}
		told[draft] = true
		left = append(left, leftFailure(name, path, why[draft], goesOn))
	}
	for _, w := range last.Waiting {
		tell(w.Draft, w.Name, w.Path)
	}
	for _, u := range last.Uploads {
		tell(u.Draft, u.Name, u.Path)
	}
	return left
}

func leftFailure(name, path, why string, then next) error {
	if why != "" {
		why = " (" + why + ")"
	}
	what := ": see imagefs staged"
	if then == goesOn {
		what = ", and the next mount goes on with it"
	}
	return fail(exitLeft, "%q was not uploaded%s: its bytes stay in %s%s", name, why, path, what)
}
