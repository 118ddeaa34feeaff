package fs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Flags and signals of a Linux task, from include/linux/sched.h and
// proc_pid_stat(5), proc_pid_status(5).
const (
	taskExiting  = 0x4   // PF_EXITING
	taskSignaled = 0x400 // PF_SIGNALED: killed by a signal, or a thread of a program that calls exit

	// Fields of /proc/PID/stat counted after the command's closing parenthesis,
	// where field 3 (state) is index 0.
	statFlags    = 9 - 3
	statExitCode = 52 - 3
)

// stopSignals are the signals by which a user means "stop this": their pending
// bits, where bit n-1 stands for signal n.
const stopSignals = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) |
	1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGTERM-1)

// processGroup returns the process (thread group) of a thread, 0 when it cannot
// be read: a thread that is gone, or a caller in another pid namespace, whose tid
// is 0.
func processGroup(tid uint32) uint32 {
	fields, err := statusFields(tid, "Tgid")
	if err != nil {
		return 0
	}
	tgid, err := strconv.ParseUint(fields["Tgid"], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(tgid)
}

// toldToStop reports whether the thread waits with a signal that means stop. A
// thread that cannot be looked at counts as told: it is gone, or in another pid
// namespace, where an interrupt is all that can be known.
func toldToStop(tid uint32) bool {
	fields, err := statusFields(tid, "SigPnd", "ShdPnd", "SigBlk")
	if err != nil {
		return true
	}
	return (mask(fields["SigPnd"])|mask(fields["ShdPnd"]))&^mask(fields["SigBlk"])&stopSignals != 0
}

// killedBySignal reports whether the thread is being ended by a signal, so that
// the close it makes is not one that its program chose. Where the exit code is
// hidden from us, the flag alone decides, and sure is false: better a draft kept than
// half an image published.
func killedBySignal(tid uint32) (killed, sure bool) {
	if tid == 0 {
		return false, false // another pid namespace: nothing can be known
	}
	if lives, doomed := hasMemory(tid); lives {
		return doomed, doomed
	}
	flags, code, ok := exitOf(tid)
	if !ok {
		return false, false
	}
	if code&0x7f != 0 {
		return true, true
	}
	return flags&taskSignaled != 0 && exitCodeHidden(tid), false
}

// hasEnded reports whether the thread has ended, and the kernel closes its files: it hears
// no signal any more.
func hasEnded(tid uint32) bool {
	if tid == 0 {
		return false
	}
	if lives, _ := hasMemory(tid); lives {
		return false
	}
	_, _, ok := exitOf(tid)
	return ok
}

// exitOf returns flags and exit code of a thread that has no memory any more; false for
// one that does not end.
func exitOf(tid uint32) (flags, code uint64, ok bool) {
	text, err := os.ReadFile(procFile(tid, "stat"))
	if err != nil {
		return 0, 0, false
	}
	flags, code, ok = parseStat(text)
	return flags, code, ok && flags&taskExiting != 0
}

// hasMemory reports whether the thread still has its memory: one that ends gives it
// up before it closes its files. execve(2) closes files too, and holds a lock until
// that is answered for which readers of stat, cwd, cmdline and more wait, since
// Linux 6.18 (and so would ps): only status may be read of a thread that may be in
// there.
//
// A thread with memory is doomed where SIGKILL waits for it, as the kernel makes of most
// signals that end a program: a fork(2) that is given up for that closes, still in the
// name of the parent, what the child would have had.
func hasMemory(tid uint32) (lives, doomed bool) {
	fields, err := statusFields(tid, "VmSize", "SigPnd", "ShdPnd")
	if err != nil {
		return false, false
	}
	return fields["VmSize"] != "", (mask(fields["SigPnd"])|mask(fields["ShdPnd"]))&(1<<(syscall.SIGKILL-1)) != 0
}

// mask reads a set of signals; none where it cannot be read.
func mask(hex string) uint64 {
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0
	}
	return v
}

// parseStat returns flags and exit code of the text of /proc/PID/stat.
func parseStat(text []byte) (flags, exitCode uint64, ok bool) {
	end := bytes.LastIndexByte(text, ')') // the command may hold anything, also parentheses
	if end < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) <= statExitCode {
		return 0, 0, false
	}
	flags, err := strconv.ParseUint(fields[statFlags], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	exitCode, err = strconv.ParseUint(fields[statExitCode], 10, 64)
	return flags, exitCode, err == nil
}

// exitCodeHidden reports whether the kernel shows us 0 for the exit code whatever
// it is: it asks for the same right as reading the task's working directory.
func exitCodeHidden(tid uint32) bool {
	_, err := os.Readlink(procFile(tid, "cwd"))
	return errors.Is(err, fs.ErrPermission)
}

// command returns the short name of a thread's program, "" when it is gone.
func command(tid uint32) string {
	if tid == 0 {
		return ""
	}
	text, err := os.ReadFile(procFile(tid, "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// statusFields reads the named fields of /proc/TID/status.
func statusFields(tid uint32, names ...string) (map[string]string, error) {
	if tid == 0 {
		return nil, fs.ErrNotExist
	}
	text, err := os.ReadFile(procFile(tid, "status"))
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string, len(names))
	for line := range strings.SplitSeq(string(text), "\n") {
		name, value, _ := strings.Cut(line, ":")
		for _, want := range names {
			if name == want {
				fields[name] = strings.TrimSpace(value)
			}
		}
	}
	return fields, nil
}

func procFile(tid uint32, name string) string {
	return "/proc/" + strconv.FormatUint(uint64(tid), 10) + "/" + name
}
