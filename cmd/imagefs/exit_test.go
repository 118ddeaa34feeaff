package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/image"
)

func TestExitTable(t *testing.T) {
	seen := map[string]bool{}
	last := exitCode(-1)
	for _, m := range exitTable() {
		if m.Code <= last {
			t.Errorf("code %d is not above %d: codes are distinct and in order", m.Code, last)
		}
		if m.Code > 125 && m.Code != exitInterruptedBy {
			t.Errorf("code %d means something else to shells", m.Code)
		}
		if m.Cause == "" || seen[m.Cause] || (m.Do == "" && m.Code != exitOK && m.Code != exitInterruptedBy) {
			t.Errorf("row %+v is not complete or not distinct", m)
		}
		last, seen[m.Cause] = m.Code, true
	}
	if topic := exitCodesTopic().Long; strings.Count(topic, "\n") != len(exitTable())+1 {
		t.Errorf("the help topic does not list every code:\n%s", topic)
	}
}

func TestCodeOf(t *testing.T) {
	inner := fail(exitMountBusy, "busy")
	for _, tc := range []struct {
		err  error
		want exitCode
	}{
		{nil, exitOK},
		{errors.New("x"), exitInternal},
		{inner, exitMountBusy},
		{fmt.Errorf("around: %w", inner), exitMountBusy},
		{fail(exitTimedOut, "around: %w", inner), exitTimedOut},
		{errors.Join(errors.New("x"), inner), exitMountBusy},
		{context.Canceled, exitInterruptedBy},
		{hush(inner), exitMountBusy},
		{hush(nil), exitOK},
	} {
		if got := codeOf(tc.err); got != tc.want {
			t.Errorf("%v: code %d, want %d", tc.err, got, tc.want)
		}
	}
	if !errors.Is(hush(inner), errReported) {
		t.Error("a hushed error would be printed again")
	}
}

func TestServiceFailure(t *testing.T) {
	want := map[image.Kind]exitCode{
		image.Misconfigured: exitCloud, image.Credentials: exitCredentials, image.Forbidden: exitCredentials,
		image.Unreachable: exitUnreachable, image.Untrusted: exitUntrusted,
		image.UnexpectedAnswer: exitNotImageAPI, image.NotFound: exitNotImageAPI,
		image.Stalled: exitTimedOut, image.Unavailable: exitServiceAway, image.IdentityAway: exitServiceAway,
		image.Interrupted: exitInterruptedBy, image.Other: exitInternal, image.NoDescriptors: exitInternal,
	}
	for kind, code := range want {
		cause := &image.Error{Op: "authenticate", Kind: kind}
		err := serviceFailure(cause, "prod", "")
		if codeOf(err) != code {
			t.Errorf("%s: code %d, want %d", kind, codeOf(err), code)
		}
		if kind != image.Interrupted && !errors.Is(err, cause) {
			t.Errorf("%s: the cause is lost", kind)
		}
	}
	for _, tc := range []struct{ cloud, endpoint, want string }{
		{"prod", "", "cloud prod: "}, {"", "http://h", "http://h: "}, {"", "", "the OS_* variables: "},
	} {
		err := serviceFailure(&image.Error{Op: "o", Kind: image.Unreachable}, tc.cloud, tc.endpoint)
		if !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q does not begin with %q", err, tc.want)
		}
	}
	if serviceFailure(nil, "", "") != nil {
		t.Error("no error is no failure")
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine(errors.New("a\n b\t\x1b[31mc\u0085d")); got != "a b ?[31mc d" {
		t.Errorf("%q", got)
	}
}
