package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

const downloadFirst = "aria2c, then convert"

func convert() row {
	return row{
		name: "convert", title: "qemu-img convert behind the link",
		about: `A qcow2 of a disk of 10 GiB, of which a tenth is random bytes, becomes a local raw file: from a mount, from
qemu's http driver, and the way it is done without imagefs: download, then convert.`,
		metrics: []metric{seconds}, fills: 3,
		targets: []target{
			{text: "0.55 of the time of download and convert", of: imagefs, over: []string{downloadFirst}, metric: seconds, most: 0.55},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			return l.converting(ctx, "disk.qcow2", false)
		},
	}
}

func convertPacked() row {
	return row{
		name: "convert-packed", title: "qemu-img convert of a compressed qcow2 behind the link",
		about: `The same, but the random bytes are half as many, each followed by a zero, and the qcow2 is compressed by
zlib, as distributions publish their cloud images. Unpacking takes more time than the link, so there is less to gain.`,
		metrics: []metric{seconds},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			return l.converting(ctx, "packed.qcow2", true)
		},
	}
}

func (l *lab) converting(ctx context.Context, name string, packed bool) ([]contender, error) {
	p, err := l.publishDisk(ctx, name, packed)
	if err != nil {
		return nil, err
	}
	s := l.shaped
	onMount := func(ctx context.Context, m *mount) (values, error) {
		taken, err := l.toRaw(ctx, m.path(p.name))
		return values{seconds.key: taken.Seconds()}, err
	}
	contenders := []contender{
		l.onImagefs(s, onMount),
		{
			name: downloadFirst, how: "`" + aria2How + " URL && qemu-img convert -O raw`",
			measure: func(ctx context.Context) (values, error) {
				dir, err := l.temp("aria2c")
				if err != nil {
					return nil, err
				}
				defer os.RemoveAll(dir) //nolint:errcheck // the lab's end removes what this does not
				downloaded, err := l.download(ctx, s, p, dir)
				if err != nil {
					return nil, err
				}
				converted, err := l.toRaw(ctx, filepath.Join(dir, p.name))
				return values{seconds.key: (downloaded + converted).Seconds()}, err
			},
		},
		{
			name: "qemu-img over http", how: "`qemu-img convert -m 2` of the URL",
			measure: func(ctx context.Context) (values, error) {
				taken, err := l.toRaw(ctx, `json:{"driver":"qcow2","file":`+qemuURL(s.file(p))+`}`, "-m", "2")
				return values{seconds.key: taken.Seconds()}, err
			},
		},
	}
	for _, r := range l.sequentialRclones() {
		if r.cached {
			contenders = append(contenders, l.onRclone(s, r, onMount))
		}
	}
	return contenders, nil
}

// toRaw converts an image to a raw file, and removes it.
func (l *lab) toRaw(ctx context.Context, source string, args ...string) (time.Duration, error) {
	target := filepath.Join(l.dir, "converted.raw")
	taken, err := l.run(ctx, "qemu-img", append(append([]string{"convert", "-O", "raw"}, args...), source, target)...)
	if err != nil {
		return 0, err
	}
	return taken, os.Remove(target)
}
