package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// SIGHUP reads the level of the log again, of a daemon and of a mount in the foreground that
// has no terminal, as under systemd; what came of it is one line at every level.
func TestHangupReadsLogLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint, m := service(t, nil), w.mkdir("m")
	w.cleanMount(m)
	file := func(level string) { w.write("images.yaml", "log-level: "+level+"\n") }
	var read func() string // the log
	hangup := func(pid int, want string) {
		t.Helper()
		before := strings.Count(read(), want)
		if err := unix.Kill(pid, unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, want, func() bool { return strings.Count(read(), want) == before+1 })
	}
	all := func(pid int) {
		t.Helper()
		file("error")
		hangup(pid, "and nothing else: the rest needs a new mount\" level=ERROR before=INFO file="+w.dir+"/images.yaml")
		w.mustSh("echo a > m/quiet") // a line at the level info, for each change
		file("debug")
		hangup(pid, "level=DEBUG before=ERROR")
		w.mustSh("echo a > m/loud")
		w.write("images.yaml", "log-level: debug\nnonsense: 1\n")
		hangup(pid, "level=DEBUG error=\""+w.dir+"/images.yaml:2: unknown key")
		if log := read(); strings.Contains(log, "quiet") || !strings.Contains(log, "loud") {
			t.Errorf("the level was not obeyed:\n%s", log)
		}
	}

	file("info")
	w.mustRun("mount", "--config", "images.yaml", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", m)
	s := w.mustAsk(m)
	read = func() string {
		text, err := os.ReadFile(s.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	all(s.PID)
	w.mustRun("unmount", m)

	for args, want := range map[string]string{
		"":                                      "the mount has no file of --config",
		"--config images.yaml --log-level warn": "level=WARN given=--log-level",
	} {
		file("info")
		p := w.start(strings.Fields("mount --foreground --endpoint " + endpoint + " --staging-dir staging " + args + " " + m)...)
		read = p.err.String
		eventually(t, "mounted", func() bool { return isMounted(t, m) })
		hangup(p.cmd.Process.Pid, want)
		p.signal(unix.SIGTERM)
		if _, stderr, code := p.end(); code != exitOK {
			t.Errorf("code %d: %s", code, stderr)
		}
	}
}

// A configuration on a disk that does not answer does not hold the end of the daemon.
func TestHangupStops(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			reads, disk := make(chan struct{}), make(chan struct{})
			came := make(chan os.Signal)
			stop := rereadAt(came, func() {
				close(reads)
				if hangs {
					<-disk
				}
			}, slog.New(slog.NewTextHandler(&log, nil)))
			came <- unix.SIGHUP
			<-reads
			stop()
			if said := log.String(); strings.Contains(said, "does not answer") != hangs {
				t.Errorf("hangs %v: it says %q", hangs, said)
			}
			close(disk)
		})
	}
}

// A terminal that is closed ends a mount in its foreground.
func TestHangupOfTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.mkdir("m")
	w.cleanMount(m)
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	defer w.terminal.Close()
	p := w.start("mount", "--foreground", "--endpoint", service(t, nil), "--staging-dir", w.dir+"/staging", m)
	eventually(t, "mounted", func() bool { return isMounted(t, m) })
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := p.end(); code != exitOK || !strings.Contains(stderr, "msg=unmounted") || isMounted(t, m) {
		t.Errorf("code %d: %s", code, stderr)
	}
}
