package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The peers of writing onto a Glance, and what each file costs them.
const (
	copyAndPut = "cp, then curl -T"
	copyAndSum = "cp, then md5sum, sha512sum and curl -T"
	putAtOnce  = "curl -T"
	syncAndPut = "rsync, then curl -T"
	byClient   = "openstack image create"

	putHow = "one `curl` a file that creates a record and then sends it (`-T`)"
)

func writeOne() row {
	return row{
		name: "write-one", title: "cp of one file onto a real Glance",
		about: `From the start of cp to its end: then the image is there, checked against its hash. A cp to the staging disk
and an upload by curl is the same work without a filesystem, and without the check. For a check the bytes have to be hashed:
md5sum and sha512sum do that while curl sends.`,
		metrics: []metric{seconds}, fills: 4,
		targets: []target{
			{text: "at most 1.1 times `cp` and `curl -T`", of: imagefs, over: []string{copyAndPut}, metric: seconds, most: 1.1},
			{text: "not slower than `openstack image create`", of: imagefs, over: []string{byClient}, metric: seconds, most: 1},
		},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, err := l.newGlance(ctx)
			if err != nil {
				return nil, err
			}
			file := []source{{path: l.large.path, size: l.large.size}}
			return []contender{
				l.making(s, file, l.onImagefs(s, func(ctx context.Context, m *mount) (values, error) {
					return took(l.run(ctx, "cp", file[0].path, m.dir))
				})),
				l.making(s, file, contender{name: copyAndPut, how: "`cp` to the disk of the staging directory, then " + putHow, measure: func(ctx context.Context) (values, error) {
					return l.copyThenPut(ctx, s, file, l.put, "cp")
				}}),
				l.making(s, file, contender{name: copyAndSum, how: "the same, with `md5sum` and `sha512sum` of the copy at the same time", measure: func(ctx context.Context) (values, error) {
					return l.copyThenPut(ctx, s, file, l.putAndSum, "cp")
				}}),
				l.making(s, file, contender{name: byClient, how: "`openstack image create --file FILE`, of Debian's python3-openstackclient", measure: func(ctx context.Context) (values, error) {
					return took(l.run(ctx, "env", "OS_CLIENT_CONFIG_FILE="+filepath.Join(s.dir, "clouds.yaml"), "/usr/bin/openstack", "--os-cloud", "demo",
						"image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file[0].path, "large.raw"))
				}}),
			}, nil
		},
	}
}

const (
	// manyFiles of writeMany are each this part of the large image: 1 MiB of 1 GiB.
	manyFiles, manyPart = 100, 1024
	writers             = 4
)

func writeMany() row {
	return row{
		name: "write-many", title: "100 files of 1 MiB by 4 writers onto a real Glance",
		about: `Each writer copies every fourth file, one after the other. imagefs makes five requests for each file, for it asks
whether the name is free, checks what it has made, and hides it until then. curl makes two.`,
		metrics: []metric{seconds},
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, files, err := l.glanceAndFiles(ctx, manyFiles, l.options.size/manyPart)
			if err != nil {
				return nil, err
			}
			return []contender{
				l.making(s, files, l.onImagefs(s, func(ctx context.Context, m *mount) (values, error) {
					return together(files, func(f source) error {
						_, err := l.run(ctx, "cp", f.path, m.dir)
						return err
					})
				})),
				l.making(s, files, contender{name: putAtOnce, how: putHow + ", from where the file lies", measure: func(ctx context.Context) (values, error) {
					return together(files, func(f source) error {
						_, err := l.put(ctx, s, f.path)
						return err
					})
				}}),
			}, nil
		},
	}
}

// treeFiles are each as large a part of the large image.
const treeFiles = 64

func writeTree() row {
	return row{
		name: "write-tree", title: "rsync -a of 64 files onto a real Glance",
		about:   `A gibibyte in 64 files. rsync writes each under a temporary name, sets its times and mode, and renames it.`,
		metrics: []metric{seconds}, fills: 4,
		prepare: func(ctx context.Context, l *lab) ([]contender, error) {
			s, files, err := l.glanceAndFiles(ctx, treeFiles, l.options.size/treeFiles)
			if err != nil {
				return nil, err
			}
			return []contender{
				l.making(s, files, l.onImagefs(s, func(ctx context.Context, m *mount) (values, error) {
					return took(l.run(ctx, "rsync", append(append([]string{"-a"}, paths(files)...), m.dir+"/")...))
				})),
				l.making(s, files, contender{name: syncAndPut, how: "`rsync -a` to the disk of the staging directory, then " + putHow, measure: func(ctx context.Context) (values, error) {
					return l.copyThenPut(ctx, s, files, l.put, "rsync", "-a")
				}}),
			}, nil
		},
	}
}

// source is a local file, in the page cache, that is to become an image.
type source struct {
	path string
	size int64
}

func paths(files []source) []string {
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = f.path
	}
	return all
}

// glanceAndFiles brings a Glance up and makes files for it, for the rest of the scope.
func (l *lab) glanceAndFiles(ctx context.Context, count int, size int64) (*site, []source, error) {
	s, err := l.newGlance(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir, err := l.temp("sources")
	if err != nil {
		return nil, nil, err
	}
	l.atEnd(func() error { return os.RemoveAll(dir) })
	var files []source
	for i := range count {
		f := source{path: filepath.Join(dir, fmt.Sprintf("file-%03d.raw", i)), size: size}
		if err := writeFile(f.path, noise(byte(32+i), size), size); err != nil {
			return nil, nil, err
		}
		files, l.hot = append(files, f), append(l.hot, f.path)
	}
	return s, files, nil
}

func took(taken time.Duration, err error) (values, error) {
	return values{seconds.key: taken.Seconds()}, err
}

// together does the work for all files, by as many writers at once, each with its own.
func together(files []source, work func(source) error) (values, error) {
	var group sync.WaitGroup
	errs := make([]error, writers)
	begun := time.Now()
	for w := range writers {
		group.Go(func() {
			for i := w; i < len(files) && errs[w] == nil; i += writers {
				errs[w] = work(files[i])
			}
		})
	}
	group.Wait()
	return values{seconds.key: time.Since(begun).Seconds()}, errors.Join(errs...)
}

// copyThenPut copies the files by a program to where the staging directory would be,
// and uploads the copies one after the other.
func (l *lab) copyThenPut(ctx context.Context, s *site, files []source, put putter, program string, args ...string) (v values, err error) {
	dir, err := l.temp("copies")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	all, err := l.run(ctx, program, append(append(args, paths(files)...), dir+"/")...)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		taken, err := put(ctx, s, filepath.Join(dir, filepath.Base(f.path)))
		if err != nil {
			return nil, err
		}
		all += taken
	}
	return took(all, nil)
}

// putter makes an image of a file, and says how long it took.
type putter func(ctx context.Context, s *site, path string) (time.Duration, error)

// putAndSum is put beside the hashes that Glance tells of an image.
func (l *lab) putAndSum(ctx context.Context, s *site, path string) (time.Duration, error) {
	var group sync.WaitGroup
	errs := make([]error, 3)
	begun := time.Now()
	for i, sum := range []string{"md5sum", "sha512sum"} {
		group.Go(func() { _, errs[i] = l.run(ctx, sum, path) })
	}
	group.Go(func() { _, errs[2] = l.put(ctx, s, path) })
	group.Wait()
	return time.Since(begun), errors.Join(errs...)
}

// put makes an image of a file by one curl: it chooses the id, so that it can ask for
// both over one connection.
func (l *lab) put(ctx context.Context, s *site, path string) (time.Duration, error) {
	id := uuid.NewString()
	record := fmt.Sprintf(`{"id":%q,"name":%q,"disk_format":"raw","container_format":"bare"}`, id, filepath.Base(path))
	each := []string{"-sSf", "-o", "/dev/null", "-H", "X-Auth-Token: " + s.token, "-H"}
	args := append(append([]string{}, each...), "Content-Type: application/json", "-d", record, s.endpoint()+"/v2/images", "--next")
	args = append(append(args, each...), "Content-Type: application/octet-stream", "-T", path, s.endpoint()+"/v2/images/"+id+"/file")
	return l.run(ctx, "curl", args...)
}
