package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefs/imagefs/config"
)

// mountHelper is the name under which mount(8) finds the program, and through it fstab and
// systemd; a package links it in /sbin.
const mountHelper = "mount.imagefs"

// What mount(8) calls an end; it passes it on to its caller.
const (
	helperUsage  = 1
	helperSignal = 8
	helperFailed = 32
)

// runAs is run under the name that the program was called by: as mount's helper it takes
// what mount(8) gives, and ends with mount's codes.
func runAs(ctx context.Context, program string, args []string, std streams) int {
	if filepath.Base(program) != mountHelper {
		return run(ctx, args, std)
	}
	own, err := mountCommandLine(args)
	code := int(exitOK)
	switch {
	case err != nil:
		code = std.tell(fail(exitUsage, "%w", err))
	case own != nil:
		code = run(ctx, own, std)
	}
	switch exitCode(code) {
	case exitOK:
		return code
	case exitUsage:
		return helperUsage
	case exitInterruptedBy:
		return helperSignal
	default:
		return helperFailed
	}
}

// helperCall is what mount(8) gives its helpers: operands, and options of one letter
// that stand anywhere. Source: mount(8), "External helpers".
type helperCall struct {
	operands []string
	options  []string // of all -o
	letters  string   // given without a value
}

func parseHelperCall(args []string) (helperCall, error) {
	var c helperCall
	for i := 0; i < len(args); i++ {
		if len(args[i]) < 2 || args[i][0] != '-' {
			c.operands = append(c.operands, args[i])
			continue
		}
		letters := strings.TrimLeft(args[i][1:], "fnsv")
		c.letters += strings.TrimSuffix(args[i][1:], letters)
		if letters == "" {
			continue
		}
		letter, value := letters[:1], letters[1:]
		if !strings.Contains("oNt", letter) {
			return c, fmt.Errorf("unknown option -%s", letter)
		}
		if value == "" {
			if i++; i == len(args) {
				return c, fmt.Errorf("option -%s has no value", letter)
			}
			value = args[i]
		}
		switch letter {
		case "o":
			c.options = append(c.options, strings.Split(value, ",")...)
		case "N":
			return c, errors.New("option -N: another mount namespace is not supported: use nsenter")
		}
	}
	return c, nil
}

// mountCommandLine is the command line of `imagefs mount` for one of mount.imagefs:
// SOURCE DIRECTORY [-sfnv] [-t TYPE] [-o OPTION,…]. It is nil where nothing is to be done.
func mountCommandLine(args []string) ([]string, error) {
	c, err := parseHelperCall(args)
	if err != nil {
		return nil, err
	}
	if len(c.operands) != 2 {
		return nil, errors.New("give a source and a mountpoint: mount -t imagefs cloud:NAME DIRECTORY")
	}
	own := []string{"mount"}
	source := c.operands[0]
	switch name, isCloud := strings.CutPrefix(source, "cloud:"); {
	case isCloud && name != "":
		own = append(own, "--cloud="+name)
	case strings.HasPrefix(source, "http://"), strings.HasPrefix(source, "https://"):
		own = append(own, "--endpoint="+source)
	case source == "imagefs" || source == "none": // the configuration says which
	default:
		return nil, fmt.Errorf("unknown source %q: write cloud:NAME for an entry of clouds.yaml, the URL of an Image API, or imagefs if the file of config= or the environment names it", source)
	}
	for _, option := range c.options {
		flag, err := mountOption(option)
		switch {
		case err != nil && strings.Contains(c.letters, "s"): // mount(8): tolerate what the filesystem does not know
		case err != nil:
			return nil, err
		case flag != "":
			own = append(own, flag)
		}
	}
	if strings.Contains(c.letters, "f") { // mount(8): everything but the mount
		return nil, nil
	}
	return append(own, "--", c.operands[1]), nil
}

// idle are options of mount(8) and fstab that ask for what is so anyway, or that somebody
// else acts on.
var idle = []string{
	"", "defaults", "rw", "nosuid", "nodev", "exec", "async", "auto", "noauto", "nofail", "_netdev",
	"user", "nouser", "users", "owner", "group", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
	"strictatime", "nostrictatime", "lazytime", "nolazytime", "silent", "loud",
}

// mountOption is the flag for one of mount's options, "" where it needs none: its own
// names, and ours with _ as mount's are written.
func mountOption(option string) (string, error) {
	name, value, hasValue := strings.Cut(option, "=")
	switch {
	case !hasValue && slices.Contains(idle, name),
		strings.HasPrefix(name, "x-"), strings.HasPrefix(name, "X-"), name == "comment": // for systemd and libmount
		return "", nil
	case option == "ro":
		return "--read-only", nil
	case option == "noexec":
		return "", errors.New("option noexec, which user, users, owner and group bring, is not kept: add exec")
	case option == "remount":
		return "", errors.New("a mount cannot be changed: unmount it, and mount it again")
	case name == "config" && hasValue:
		return "--config=" + value, nil
	case name == "source" && hasValue: // libmount repeats the source where it has a comma
		return "", nil
	}
	for _, o := range config.Options() {
		if o.Name != strings.ReplaceAll(name, "_", "-") {
			continue
		}
		switch {
		case o.Secret:
			return "", fmt.Errorf("option %s: others can read fstab and command lines: put it into the file of config=", name)
		case o.Name == "foreground", o.Name == "cloud", o.Name == "endpoint":
			continue
		case !hasValue && o.Arg != "":
			return "", fmt.Errorf("option %s has no value: write %s=%s", name, name, o.Arg)
		case hasValue:
			return "--" + o.Name + "=" + value, nil
		}
		return "--" + o.Name, nil
	}
	// Not with its value, which may be a password.
	return "", fmt.Errorf("unknown option %q: those of imagefs mount --help are known here, and config=FILE", name)
}
