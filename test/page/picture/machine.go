package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// machine boots a small Debian: libguestfs's, made of this host's packages.
type machine struct {
	kernel, initrd string // paths
	root           string // the UUID of the disk's filesystem
	disk           []byte // a qcow2
}

func makeMachine(ctx context.Context, dir string) (machine, error) {
	made, disk := filepath.Join(dir, "machine"), filepath.Join(dir, "disk.qcow2")
	supermin, err := filepath.Glob("/usr/lib/*/guestfs/supermin.d")
	if err != nil || len(supermin) == 0 {
		return machine{}, fmt.Errorf("libguestfs is not installed: %w", os.ErrNotExist)
	}
	if _, err := output(ctx, "supermin", "--build", "--format", "ext2", "--copy-kernel", supermin[0], "-o", made); err != nil {
		return machine{}, err
	}
	root := filepath.Join(made, "root")
	if _, err := output(ctx, "qemu-img", "convert", "-O", "qcow2", root, disk); err != nil {
		return machine{}, err
	}
	id, err := output(ctx, "blkid", "-s", "UUID", "-o", "value", root)
	if err != nil {
		return machine{}, err
	}
	data, err := os.ReadFile(disk)
	return machine{kernel: filepath.Join(made, "kernel"), initrd: filepath.Join(made, "initrd"), root: strings.TrimSpace(id), disk: data}, err
}

// boot starts the machine on a disk, which it does not change. The caller stops it.
func (m machine) boot(ctx context.Context, disk string) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", m.kernel, "-initrd", m.initrd, "-append", "panic=1 root=UUID="+m.root,
		// Where libguestfs would speak to it: so it stays up.
		"-device", "virtio-serial", "-chardev", "null,id=nobody", "-device", "virtserialport,chardev=nobody,name=org.libguestfs.channel.0",
		"-drive", "if=virtio,format=qcow2,snapshot=on,file="+disk)
	if err := qemu.Start(); err != nil {
		cancel()
		return nil, err
	}
	return func() {
		cancel()
		_ = qemu.Wait() // it was killed
	}, nil
}

func output(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return string(out), nil
}
