package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// exitCode is what the process ends with: one for each cause, so that a script
// need not read the message. The numbers are a promise.
type exitCode int

const (
	exitOK            exitCode = 0
	exitInternal      exitCode = 1
	exitUsage         exitCode = 2
	exitCredentials   exitCode = 3
	exitCloud         exitCode = 4
	exitUnreachable   exitCode = 5
	exitUntrusted     exitCode = 6
	exitNotImageAPI   exitCode = 7
	exitServiceAway   exitCode = 8
	exitNoMountpoint  exitCode = 9
	exitNotDirectory  exitCode = 10
	exitNotEmpty      exitCode = 11
	exitMountBusy     exitCode = 12
	exitMountDenied   exitCode = 13
	exitNoFUSE        exitCode = 14
	exitAllowOther    exitCode = 15
	exitLocalDir      exitCode = 16
	exitLocalFull     exitCode = 17
	exitNotMounted    exitCode = 18
	exitUnmountBusy   exitCode = 19
	exitTimedOut      exitCode = 20
	exitNoDaemon      exitCode = 21
	exitListen        exitCode = 22
	exitMissingTool   exitCode = 23
	exitNoDraft       exitCode = 24
	exitDraftBusy     exitCode = 25
	exitDraft         exitCode = 26
	exitFileExists    exitCode = 27
	exitLeft          exitCode = 28
	exitNoImage       exitCode = 29
	exitCacheSmall    exitCode = 30
	exitInterruptedBy exitCode = 130
)

// exitMeaning is one row of the table of exit codes.
type exitMeaning struct {
	Code  exitCode
	Cause string
	Do    string // "" when there is nothing to do
}

// exitTable explains every exit code, in order.
func exitTable() []exitMeaning {
	return []exitMeaning{
		{exitOK, "success", ""},
		{exitInternal, "an error without a code of its own", "read the message and the log"},
		{exitUsage, "wrong arguments, flags or configuration", "see the command's --help"},
		{exitCredentials, "the service refused the credentials, or some are missing", "mend clouds.yaml or the OS_* variables"},
		{exitCloud, "no cloud is configured, or it is unknown", "give --cloud NAME of clouds.yaml, or --endpoint URL"},
		{exitUnreachable, "nothing answers at the service's address", "check address, network and firewall"},
		{exitUntrusted, "the service's certificate is not trusted", "name its CA with cacert in clouds.yaml"},
		{exitNotImageAPI, "what answers is not an Image API v2", "check the endpoint"},
		{exitServiceAway, "the service answers with errors", "try again later, or ask its operator"},
		{exitNoMountpoint, "the mountpoint does not exist", "create it with mkdir -p"},
		{exitNotDirectory, "the mountpoint is not a directory", "name a directory"},
		{exitNotEmpty, "the mountpoint is not empty", "name an empty directory"},
		{exitMountBusy, "something is mounted on the mountpoint", "unmount it first"},
		{exitMountDenied, "you may not mount there, or the mount is another user's", "name one that is yours"},
		{exitNoFUSE, "/dev/fuse or fusermount3 is missing or refused", "install fuse3; in a container, pass --device /dev/fuse"},
		{exitAllowOther, "--allow-other is not permitted", "write user_allow_other into /etc/fuse.conf"},
		{exitLocalDir, "a local directory (cache, staging, log, socket) cannot be used", "mend its owner or mode, or name another"},
		{exitLocalFull, "a local disk is full", "make room, or name another staging directory"},
		{exitNotMounted, "there is no imagefs mount at that path", "see findmnt -t fuse.imagefs"},
		{exitUnmountBusy, "the mount is in use", "close what uses it, or unmount with --force"},
		{exitTimedOut, "something took too long", "read the message; try again"},
		{exitNoDaemon, "the mount is there but its daemon does not answer", "unmount it with --force"},
		{exitListen, "the address to listen on cannot be used", "choose another with --listen, or --metrics"},
		{exitMissingTool, "a program that is needed is not installed", "install what the message names"},
		{exitNoDraft, "no draft in staging has that id", "see imagefs staged list"},
		{exitDraftBusy, "a mount or another command has the draft", "close its file, or wait for its upload"},
		{exitDraft, "a draft could not be uploaded, exported or removed, or not wholly", "read the message; what was not uploaded is kept"},
		{exitFileExists, "the file to write exists", "name another, or give --force"},
		{exitLeft, "the mount has ended, and files of it were not uploaded", "see imagefs staged; the next mount goes on with what it can"},
		{exitNoImage, "no image has that id or entry", "see imagefs ls, or imagefs trash list"},
		{exitCacheSmall, "the cache cannot keep what is to be loaded", "load less, make room on its disk, or mount with a larger --cache-size"},
		{exitInterruptedBy, "ended by a signal (Ctrl-C)", ""},
	}
}

// failure is an error with its exit code.
type failure struct {
	code exitCode
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure; the message says what to do.
func fail(code exitCode, format string, args ...any) error {
	return &failure{code: code, err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code of an error: the outermost failure's.
func codeOf(err error) exitCode {
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, context.Canceled):
		return exitInterruptedBy
	default:
		return exitInternal
	}
}

// oneLine is a message as stderr shows it: in one line, and without what could
// move the cursor.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// serviceFailure gives an error of the first requests its exit code and says
// what to do.
func serviceFailure(err error, cloud, endpoint string) error {
	if err == nil {
		return nil
	}
	where := "cloud " + cloud
	switch {
	case endpoint != "":
		where = endpoint
	case cloud == "":
		where = "the OS_* variables"
	}
	switch image.KindOf(err) {
	case image.Misconfigured:
		return fail(exitCloud, "%w (name an entry of clouds.yaml with --cloud, set the OS_* variables, or give --endpoint URL)", err)
	case image.Credentials, image.Forbidden:
		return fail(exitCredentials, "%s: %w (check user, password, project or token)", where, err)
	case image.Unreachable:
		return fail(exitUnreachable, "%s: %w (check the address, the network and the firewall)", where, err)
	case image.Untrusted:
		return fail(exitUntrusted, "%s: %w (name the CA's file with cacert in clouds.yaml, or with $OS_CACERT)", where, err)
	case image.UnexpectedAnswer, image.NotFound:
		return fail(exitNotImageAPI, "%s: %w (check the endpoint: it must be an Image API v2)", where, err)
	case image.Stalled:
		return fail(exitTimedOut, "%s: %w (try again; if it stays so, ask the service's operator)", where, err)
	case image.Unavailable, image.IdentityAway:
		return fail(exitServiceAway, "%s: %w (try again later; if it stays so, ask the service's operator)", where, err)
	case image.NoDescriptors:
		return fail(exitInternal, "%s: %w (raise the limit of open files: ulimit -n)", where, err)
	case image.Interrupted:
		return fail(exitInterruptedBy, "interrupted: nothing was mounted")
	default:
		return fail(exitInternal, "%s: %w", where, err)
	}
}
