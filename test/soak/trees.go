package main

import (
	"os"
	"path/filepath"
	"strings"
)

// treeMost, in bytes: many small files, as trees have.
const treeMost = 512 << 10

// trees is the work of rsync: a directory to the mount and back. It renames each file over
// the one that was there; what follows such a rename that failed is about what it left.
func trees(w *worker) {
	switch w.random.IntN(9) {
	case 0, 1, 2:
		w.treeBack()
		return
	case 3:
		w.remove(w.any())
		return
	}
	source := w.local("tree")
	if err := os.MkdirAll(source, 0o700); err != nil {
		w.soak.fail("%v", err)
		return
	}
	next := map[*file]state{}
	for _, f := range w.files {
		path := filepath.Join(source, f.name)
		old, err := os.ReadFile(path)
		switch {
		case err == nil && w.random.IntN(3) > 0: // as it was
			next[f] = holding(old)
		default:
			next[f] = holding(w.fresh(treeMost))
			if err := os.WriteFile(path, next[f].data, 0o600); err != nil {
				w.soak.fail("%v", err)
				return
			}
		}
	}
	args := []string{"-a", "--whole-file"}
	if w.random.IntN(2) == 0 {
		args = []string{"-a", "--no-whole-file", "--checksum"}
	}
	ok := w.run("rsync", append(args, source+"/", w.soak.daemon.Mountpoint+"/")...).ok
	for f, s := range next {
		w.wrote(f, s, ok)
	}
	w.debris = w.debris || !ok // its file under another name
}

// treeBack copies what is there to an empty directory.
func (w *worker) treeBack() {
	back := w.local("back")
	if err := os.RemoveAll(back); err != nil {
		w.soak.fail("%v", err)
		return
	}
	if !w.run("rsync", "-a", "--include="+w.prefix+"-*", "--exclude=*", w.soak.daemon.Mountpoint+"/", back+"/").ok {
		return
	}
	for _, f := range w.files {
		path := filepath.Join(back, f.name)
		if _, err := os.Lstat(path); err == nil {
			w.readBack(f, path)
		} else if s, ok := f.now(); ok && s.there {
			w.soak.fail("rsync has not copied %s, which is there", f.name)
		}
	}
}

// isDebris says whether a name is that of a temporary file of the worker's programs, as
// rsync calls it.
func (w *worker) isDebris(name string) bool {
	return w.debris && strings.HasPrefix(name, "."+w.prefix+"-")
}
