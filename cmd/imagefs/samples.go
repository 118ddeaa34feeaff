package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
)

// sampleSize, in bytes, is the size of the sample disks: a filesystem with a
// journal fits, and it is uploaded in a moment.
const sampleSize = 32 << 20

const sampleText = `This file lies in an image that imagefs shows as a file.
`

// sample is one image of the demo.
type sample struct {
	name   string // of the image
	format string // disk_format
	path   string
}

// makeSamples makes three small real images in dir, with the programs that are
// installed, and says which it could not make.
func makeSamples(ctx context.Context, dir string) (made []sample, notes []string, err error) {
	content := filepath.Join(dir, "content")
	if err := os.Mkdir(content, 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(content, "README.txt"), []byte(sampleText), 0o600); err != nil {
		return nil, nil, err
	}
	raw := sample{name: "data.raw", format: "raw", path: filepath.Join(dir, "data.raw")}
	if err := makeRaw(ctx, raw.path, content); err != nil {
		return nil, nil, err
	}
	made = append(made, raw)

	qcow2 := sample{name: "system.qcow2", format: "qcow2", path: filepath.Join(dir, "system.qcow2")}
	if program := findProgram("qemu-img"); program == "" {
		notes = append(notes, "no system.qcow2: qemu-img is not installed (package qemu-utils)")
	} else if err := runTool(ctx, program, "convert", "-q", "-f", "raw", "-O", "qcow2", raw.path, qcow2.path); err != nil {
		return nil, nil, err
	} else {
		made = append(made, qcow2)
	}

	iso := sample{name: "tools.iso", format: "iso", path: filepath.Join(dir, "tools.iso")}
	var args []string
	program := findProgram("xorriso")
	if program != "" {
		args = []string{"-as", "mkisofs"}
	} else {
		program = findProgram("genisoimage")
	}
	if program == "" {
		return made, append(notes, "no tools.iso: neither xorriso nor genisoimage is installed"), nil
	}
	if err := runTool(ctx, program, append(args, "-quiet", "-V", "IMAGEFS", "-J", "-r", "-o", iso.path, content)...); err != nil {
		return nil, nil, err
	}
	return append(made, iso), notes, nil
}

// makeRaw makes a raw disk with a filesystem that holds content, or without one
// where mkfs.ext4 is missing.
func makeRaw(ctx context.Context, path, content string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(sampleText)
	if err = errors.Join(err, f.Truncate(sampleSize), f.Close()); err != nil {
		return err
	}
	program := findProgram("mkfs.ext4")
	if program == "" {
		return nil
	}
	return runTool(ctx, program, "-q", "-F", "-L", "imagefs", "-d", content, path)
}

// findProgram finds a program also where only root's PATH looks; "" if nowhere.
func findProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

func runTool(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fail(exitMissingTool, "%s failed: %w: %s", filepath.Base(program), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// uploadSamples puts the samples into the service at the endpoint.
func uploadSamples(ctx context.Context, endpoint string, samples []sample) error {
	service, err := client.Dial(ctx, client.Options{Endpoint: endpoint})
	if err != nil {
		return err
	}
	defer service.Close()
	for _, s := range samples {
		if err := uploadSample(ctx, service, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func uploadSample(ctx context.Context, service *client.Client, s sample) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: closing cannot lose anything
	info, err := f.Stat()
	if err != nil {
		return err
	}
	img, err := service.Create(ctx, image.New{ID: uuid.NewString(), Name: s.name, DiskFormat: s.format, ContainerFormat: "bare"})
	if err != nil {
		return err
	}
	return service.Upload(ctx, img.ID, info.Size(), func() io.Reader { return io.NewSectionReader(f, 0, info.Size()) })
}
