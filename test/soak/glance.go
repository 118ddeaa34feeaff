package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/imagefs/imagefs/test/fault"
)

// glance is a Keystone and a Glance of its own.
type glance struct {
	scripts, dir string
	proxy        string // its URL; "" before there is one
}

func newGlance() (service, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "imagefs-soak-glance-") // short: sockets lie below it
	if err != nil {
		return nil, err
	}
	g := &glance{scripts: filepath.Join(root, "test", "openstack"), dir: dir}
	if err := g.up(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, os.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
}

// up starts what of it does not run. That tells Keystone's catalog of Glance itself.
func (g *glance) up() error {
	if err := g.script("up", g.dir); err != nil || g.proxy == "" {
		return err
	}
	return g.tell()
}

func (g *glance) script(name string, args ...string) error {
	if out, err := exec.Command(filepath.Join(g.scripts, name), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("openstack/%s: %w: %s", name, err, out)
	}
	return nil
}

func (g *glance) address() string {
	text, err := os.ReadFile(filepath.Join(g.dir, "ports"))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 2 {
		return ""
	}
	return "http://127.0.0.1:" + fields[1]
}

func (g *glance) behind(proxy string) ([]string, error) {
	g.proxy = proxy
	return []string{"--cloud", "demo"}, g.tell()
}

// tell tells Keystone's catalog of the proxy.
func (g *glance) tell() error {
	id, err := g.admin("endpoint", "list", "--service", "image", "--interface", "public", "-f", "value", "-c", "ID")
	if err == nil {
		_, err = g.admin("endpoint", "set", "--url", g.proxy, id)
	}
	return err
}

func (g *glance) admin(args ...string) (string, error) {
	out, err := exec.Command("/usr/bin/openstack", append([]string{"--os-cloud", "admin"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("openstack %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (g *glance) close() error { return g.script("down", "--purge", g.dir) }

// faults have no stalls: a Glance on a busy machine takes so long for an answer that only a
// long time tells them from it.
func (g *glance) faults() []fault.Fault { return faults }

func (g *glance) stall() string { return "60s" }

func (g *glance) events() []event {
	again := func(name string) func(*soak) error {
		return func(s *soak) error {
			head, err := g.pid(name)
			if err != nil {
				return err
			}
			// All of them at once, as the end of a machine ends them; up knows what is left.
			if err := killSession(head); err != nil {
				return err
			}
			s.sleep(s.upTo(6 * time.Second))
			return g.up()
		}
	}
	return []event{
		{"kill -9 of a Glance worker", func(*soak) error { return g.killWorker() }},
		{"kill -9 of Glance", again("glance")},
		{"kill -9 of Keystone", again("keystone")},
	}
}

func (g *glance) pid(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, "run", name+".pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.Atoi(first)
}

// killWorker ends the processes that answer requests; Glance starts others.
func (g *glance) killWorker() error {
	head, err := g.pid("glance")
	if err != nil {
		return err
	}
	workers, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", head, head))
	for w := range strings.FieldsSeq(string(workers)) {
		pid, perr := strconv.Atoi(w)
		err = errors.Join(err, perr)
		if kerr := syscall.Kill(pid, syscall.SIGKILL); perr == nil && !errors.Is(kerr, syscall.ESRCH) {
			err = errors.Join(err, kerr)
		}
	}
	return err
}

// killSession ends all processes of a session, which are those of one server.
func killSession(leader int) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, rerr := os.ReadFile(path)
		if rerr != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest) // state, parent, group, session, …
		if len(fields) < 4 || fields[3] != strconv.Itoa(leader) {
			continue
		}
		pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		err = errors.Join(err, perr)
		if kerr := syscall.Kill(pid, syscall.SIGKILL); perr == nil && !errors.Is(kerr, syscall.ESRCH) {
			err = errors.Join(err, kerr)
		}
	}
	return err
}
