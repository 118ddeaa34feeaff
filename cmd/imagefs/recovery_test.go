package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// fakeStaging is a staging directory and who commits its drafts.
type fakeStaging struct {
	mu      sync.Mutex // guards the fields below
	kept    []staging.Record
	renames []staging.Rename
	errs    map[string][]error // of a draft's next tries; then it succeeds
	tries   map[string][]time.Duration
	before  []time.Time // what was asked to expire
	running int
	most    int
	begun   time.Time
	left    chan struct{} // see recovery.left
	hold    chan struct{} // a try waits for it, or its ctx; nil: it does not
}

func (f *fakeStaging) Kept() ([]staging.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]staging.Record(nil), f.kept...), nil
}

func (f *fakeStaging) Renames() ([]staging.Rename, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]staging.Rename(nil), f.renames...), nil
}

func (f *fakeStaging) finish(_ context.Context, k staging.Rename) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries[k.ID] = append(f.tries[k.ID], time.Since(f.begun))
	if errs := f.errs[k.ID]; len(errs) > 0 {
		f.errs[k.ID] = errs[1:]
		return errs[0]
	}
	f.renames = slices.DeleteFunc(f.renames, func(r staging.Rename) bool { return r.ID == k.ID })
	return nil
}

func (f *fakeStaging) ExpireAbandoned(before time.Time) ([]staging.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = append(f.before, before)
	return []staging.Record{{Name: "old"}}, nil
}

func (f *fakeStaging) resume(ctx context.Context, k staging.Record) error {
	f.mu.Lock()
	f.tries[k.Draft] = append(f.tries[k.Draft], time.Since(f.begun))
	f.running++
	f.most = max(f.most, f.running)
	f.mu.Unlock()
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	if ctx.Err() != nil {
		return &image.Error{Op: "commit", Kind: image.Interrupted, Err: context.Cause(ctx)}
	}
	if errs := f.errs[k.Draft]; len(errs) > 0 {
		f.errs[k.Draft] = errs[1:]
		return errs[0]
	}
	for i := range f.kept {
		if f.kept[i].Draft == k.Draft {
			f.kept = append(f.kept[:i], f.kept[i+1:]...)
			break
		}
	}
	return nil
}

func owed(id string) staging.Record {
	return staging.Record{Draft: id, Name: id, State: staging.StateCreated, Project: "ours"}
}

func startRecovering(f *fakeStaging) (*recovery, *bytes.Buffer) {
	f.tries, f.begun = map[string][]time.Duration{}, time.Now()
	if f.errs == nil {
		f.errs = map[string][]error{}
	}
	var log bytes.Buffer
	r := &recovery{store: f, resumer: f, project: "ours", ttl: 7 * 24 * time.Hour, now: time.Now, log: slog.New(slog.NewTextHandler(&log, nil)), left: f.left}
	r.start()
	return r, &log
}

func TestRecoveryTriesUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &image.Error{Op: "commit", Kind: image.Unreachable}
		f := &fakeStaging{kept: []staging.Record{owed("a"), owed("b"), owed("c")}, errs: map[string][]error{
			"a": {away, away, away, away, away, away, away, away, away, away, away}, "b": {away},
			"c": {&image.Error{Op: "upload", Kind: image.Rejected, Detail: "no"}},
		}}
		r, log := startRecovering(f)
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if n := len(f.tries["a"]); n != 12 {
			t.Errorf("tried %d times: %v", n, f.tries["a"])
		}
		last := time.Duration(0)
		for i, at := range f.tries["a"] {
			if wait := at - last; i > 0 && (wait < recoverFirst/2 || wait > recoverMost*3/2) {
				t.Errorf("try %d after %s", i, wait)
			}
			last = at
		}
		if len(f.tries["b"]) != 2 || len(f.tries["c"]) != 1 {
			t.Errorf("tries %v", f.tries)
		}
		if len(f.kept) != 1 {
			t.Errorf("kept %+v", f.kept)
		}
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
		text := log.String()
		if n := strings.Count(text, "level=ERROR"); n != 1 || !strings.Contains(text, "draft=c") {
			t.Errorf("%d errors:\n%s", n, text)
		}
		if n := strings.Count(text, "tried again"); n != 11 {
			t.Errorf("%d lines:\n%s", n, text)
		}
	})
}

func TestRecoveryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStaging{hold: make(chan struct{})}
		for _, id := range strings.Fields("a b c d e f g h") {
			f.kept = append(f.kept, owed(id))
		}
		r, log := startRecovering(f)
		synctest.Wait()
		if f.running != recoveredAtOnce {
			t.Errorf("%d at once", f.running)
		}
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
		if f.running != 0 || len(f.kept) != 8 {
			t.Errorf("ended with %d running and %d left", f.running, len(f.kept))
		}
		if strings.Contains(log.String(), "ERROR") || strings.Contains(log.String(), "tried again") {
			t.Errorf("the end of a mount is no failure:\n%s", log)
		}
	})
}

// What belongs to others, to a person, or to nobody is left alone.
func TestWhatNext(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*staging.Record)
		want   next
	}{
		"owed":                        {func(*staging.Record) {}, goesOn},
		"another project's":           {func(k *staging.Record) { k.Project = "theirs" }, foreign},
		"of an unknown project":       {func(k *staging.Record) { k.Project = "" }, goesOn},
		"damaged":                     {func(k *staging.Record) { k.Damage = "x" }, damaged},
		"open":                        {func(k *staging.Record) { k.State = staging.StateOpen }, waits},
		"failed":                      {func(k *staging.Record) { k.State = staging.StateFailed }, waits},
		"abandoned":                   {func(k *staging.Record) { k.State = staging.StateAbandoned }, waits},
		"may lack bytes":              {func(k *staging.Record) { k.Uncertain = true }, waits},
		"may lack bytes, but checked": {func(k *staging.Record) { k.Uncertain, k.State = true, staging.StateUploaded }, goesOn},
		"accepted":                    {func(k *staging.Record) { k.Accepted, k.State = true, staging.StateFailed }, goesOn},
		"removed":                     {func(k *staging.Record) { k.Unlinked, k.Image = true, "i" }, goesOn},
	} {
		k := owed("d")
		c.change(&k)
		if got := whatNext(k, "ours"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if text := fateOf(k, "ours", false); text == "" {
			t.Errorf("%s: nothing to say", name)
		}
	}
}

// What a failed commit has left half made is removed though its draft waits for a
// person, but where it may be the only whole copy.
func TestHasLeft(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*staging.Record)
		want   bool
	}{
		"failed":                {func(*staging.Record) {}, true},
		"abandoned":             {func(k *staging.Record) { k.State = staging.StateAbandoned }, true},
		"nothing left":          {func(k *staging.Record) { k.Image = "" }, false},
		"what it is to replace": {func(k *staging.Record) { k.Replaces = "i" }, false},
		"may lack bytes":        {func(k *staging.Record) { k.Uncertain = true }, false},
		"open, written since":   {func(k *staging.Record) { k.State = staging.StateOpen }, true},
		"committed":             {func(k *staging.Record) { k.State = staging.StateCommitted }, false},
		"another project's":     {func(k *staging.Record) { k.Project = "theirs" }, false},
		"damaged":               {func(k *staging.Record) { k.Damage = "x" }, false},
	} {
		k := owed("d")
		k.State, k.Image = staging.StateFailed, "i"
		c.change(&k)
		if got := (&recovery{project: "ours"}).due(k); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What a removed file of this run leaves is tried soon, and until it succeeds; a hint
// that comes while a round is due brings none forward.
func TestRecoveryOfThisRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &image.Error{Op: "remove", Kind: image.Unreachable}
		f := &fakeStaging{left: make(chan struct{}, 1), errs: map[string][]error{"a": {away, away, away}}}
		r, _ := startRecovering(f)
		leave := func(id string) {
			f.mu.Lock()
			f.kept = append(f.kept, staging.Record{Draft: id, Image: id, Unlinked: true, State: staging.StateCommitting})
			f.mu.Unlock()
			f.left <- struct{}{}
			synctest.Wait()
		}
		tried := func(id string) []time.Duration {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.tries[id])
		}
		time.Sleep(time.Minute)
		left := time.Since(f.begun)
		leave("a")
		for range 100 { // each takes a round where they are not held together
			f.left <- struct{}{}
			synctest.Wait()
		}
		if len(tried("a")) != 0 {
			t.Error("the service, which was away a moment ago, is asked at once")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		tries := tried("a")
		if len(tries) != 4 {
			t.Errorf("tries %v", tries)
		}
		for i, at := range tries {
			if wait := at - left; wait < recoverFirst/2<<i || wait > recoverFirst*3/2<<i {
				t.Errorf("try %d after %s", i, wait)
			}
			left = at
		}
		left = time.Since(f.begun)
		leave("b")
		time.Sleep(recoverFirst * 3 / 2)
		synctest.Wait()
		if tries := tried("b"); len(tries) != 1 {
			t.Errorf("left after %s, tried at %v: the pauses do not begin anew", left, tries)
		}
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
	})
}

// What somebody had when it was tried is tried again soon, and what somebody had when staging
// was looked through, soon after that has let go of it; nothing of that is worth a line.
func TestRecoveryOfWhatOthersHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := fmt.Errorf("%w: busy", errElsewhere)
		f := &fakeStaging{kept: []staging.Record{owed("had")}, errs: map[string][]error{"had": {busy, busy}}}
		r, log := startRecovering(f)
		time.Sleep(time.Minute)
		f.mu.Lock()
		if len(f.tries["had"]) != 3 || len(f.kept) != 0 {
			t.Errorf("tried at %v, kept %+v", f.tries["had"], f.kept)
		}
		f.kept = append(f.kept, owed("let go"))
		f.mu.Unlock()
		time.Sleep(lookEvery)
		synctest.Wait()
		if len(f.kept) != 0 {
			t.Errorf("kept %+v", f.kept)
		}
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
		if strings.Contains(log.String(), "could not be settled") {
			t.Errorf("it says:\n%s", log)
		}
	})
}

// What was asked for a removed file, or by a rename, may yet come: it is looked at again soon,
// until it cannot, and nothing of that is worth a line.
func TestRecoveryOfWhatMayCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		young := &image.Error{Op: "commit", Err: commit.ErrMayCome}
		renamed := &image.Error{Op: "rename", Err: catalog.ErrTooYoung}
		f := &fakeStaging{
			kept: []staging.Record{owed("a")}, renames: []staging.Rename{{ID: "r"}},
			errs: map[string][]error{"a": {young, young, young, young}, "r": {renamed, renamed, renamed}},
		}
		r, log := startRecovering(f)
		time.Sleep(4*recoverFirst*3/2 + time.Second)
		synctest.Wait()
		f.mu.Lock()
		if len(f.kept) != 0 || len(f.renames) != 0 || len(f.tries["a"]) != 5 || len(f.tries["r"]) != 4 {
			t.Errorf("tried at %v, kept %+v, %+v", f.tries, f.kept, f.renames)
		}
		f.mu.Unlock()
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
		if strings.Contains(log.String(), "level=WARN") {
			t.Errorf("it says:\n%s", log)
		}
	})
}

// Every hour, what is old enough goes, and what other daemons have left since is
// gone on with.
func TestRecoveryHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStaging{}
		r, log := startRecovering(f)
		synctest.Wait()
		f.mu.Lock()
		f.kept = append(f.kept, owed("late"))
		f.mu.Unlock()
		time.Sleep(2*time.Hour + time.Minute)
		synctest.Wait()
		if len(f.before) != 3 || len(f.tries["late"]) != 1 {
			t.Errorf("expired %v, tried %v", f.before, f.tries)
		}
		if want := f.begun.Add(-7 * 24 * time.Hour); len(f.before) > 0 && !f.before[0].Equal(want) {
			t.Errorf("asked for what is older than %s, want %s", f.before[0], want)
		}
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
		if n := strings.Count(log.String(), "killed writer"); n != 3 {
			t.Errorf("%d lines:\n%s", n, log)
		}
		forever := &recovery{store: f, log: slog.New(slog.DiscardHandler)}
		forever.expire()
		if len(f.before) != 3 {
			t.Error("what is kept for ever was asked to go")
		}
	})
}
