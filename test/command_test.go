package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// run runs a command that must succeed, and returns what it wrote to stdout.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return out
}

// commandError is a command that failed: its code and what it said.
type commandError struct {
	code   int
	stderr string
	err    error
}

func (e *commandError) Error() string { return e.err.Error() + ": " + e.stderr }
func (e *commandError) Unwrap() error { return e.err }

// try runs a command that may fail.
func try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), &commandError{code: cmd.ProcessState.ExitCode(), stderr: strings.TrimSpace(errs.String()), err: err}
	}
	return out.String(), nil
}

// fails runs a command that must fail, and returns how.
func fails(t *testing.T, name string, args ...string) *commandError {
	t.Helper()
	out, err := try(t, name, args...)
	var failed *commandError
	if !errors.As(err, &failed) {
		t.Fatalf("%s %s succeeded: %s", name, strings.Join(args, " "), out)
	}
	return failed
}

// openstack runs the OpenStack client as the demo user.
func openstack(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "/usr/bin/openstack", append([]string{"--os-cloud", "demo"}, args...)...)
}

// show returns what `openstack image show` says of an image.
func show(t *testing.T, id string) map[string]any {
	t.Helper()
	var record map[string]any
	if err := json.Unmarshal([]byte(openstack(t, "image", "show", "-f", "json", id)), &record); err != nil {
		t.Fatal(err)
	}
	return record
}
