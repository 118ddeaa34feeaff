package fs

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// stopped starts a program that does nothing, not even take a signal, until the test ends.
func stopped(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(cmd.Process.Pid, nil, syscall.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// The kernel interrupts a request once, for any signal. One that means stop ends its context
// at once if it is there by then, else at the next look, a second later at the most. All
// that a request waits for, it waits for with one of these contexts.
func TestInterruptIsSeenAtTheNextLook(t *testing.T) {
	for name, begin := range map[string]func(*FS, context.Context) (*call, context.Context){
		"a wait":                               func(f *FS, ctx context.Context) (*call, context.Context) { c := f.begin(ctx); return c, c },
		"one under the lock of a directory":    func(f *FS, ctx context.Context) (*call, context.Context) { c := f.beginBounded(ctx); return c, c },
		"of a change":                          (*FS).change,
		"of one under the lock of a directory": (*FS).changeBounded,
	} {
		for when, looks := range map[string]int{"before the interrupt": 0, "after it": 1, "after another look": 2} {
			t.Run(name+"/"+when, func(t *testing.T) {
				caller := stopped(t)
				synctest.Test(t, func(t *testing.T) {
					f := newFS(t.Context(), newHouse().rooms(), Options{}, tuning{})
					interrupt := make(chan struct{})
					request := &fuse.Context{Cancel: interrupt}
					request.Pid = uint32(caller.Process.Pid)
					c, ctx := begin(f, request)
					defer c.end()
					done := ctx.Done()
					began := time.Now()
					for look := range looks {
						if look == 0 {
							close(interrupt)
						} else {
							time.Sleep(lookAgain)
						}
						synctest.Wait()
						if err := ctx.Err(); err != nil {
							t.Fatalf("nobody means stop: %v", err)
						}
					}
					if err := caller.Process.Signal(syscall.SIGINT); err != nil {
						t.Fatal(err)
					}
					if looks == 0 {
						close(interrupt)
					}
					<-done
					if took, want := time.Since(began), time.Duration(looks)*lookAgain; took != want || lookAgain > time.Second {
						t.Errorf("it took %v, want %v", took, want)
					}
					if err := ctx.Err(); !errors.Is(err, context.Canceled) {
						t.Errorf("it ends with %v", err)
					}
				})
			})
		}
	}
}
