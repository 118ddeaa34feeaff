package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
)

// diskPrefix is of the names of virtual disks.
const diskPrefix = "disk"

// diskSize, in bytes, is that of the virtual disks.
const diskSize = 16 << 20

// disks is the work of qemu-img. A convert closes its target several times: one that has
// failed may have left any of what it had by then.
func disks(w *worker) {
	f := w.any()
	s, known := f.now()
	switch {
	case !known && w.random.IntN(3) == 0, known && s.there && w.random.IntN(6) == 0:
		w.remove(f)
	case !known || !s.there || w.random.IntN(4) == 0:
		w.convert(f)
	case w.random.IntN(2) == 0:
		w.compareDisk(f, s)
	default:
		w.disk(f)
	}
}

// convert makes a disk that has some data, and the same locally: the bytes are the same
// each time.
func (w *worker) convert(f *file) {
	raw := make([]byte, diskSize)
	for range 1 + w.random.IntN(4) {
		w.seed++
		off := w.random.IntN(diskSize - 1<<20)
		fill(raw[off:off+w.random.IntN(1<<20)], mix(w.seed), 0)
	}
	from, local := w.write("raw-"+f.name, raw), w.local("qcow2-"+f.name)
	args := []string{"convert", "-f", "raw", "-O", "qcow2", from}
	if out, err := exec.Command("qemu-img", append(args, local)...).CombinedOutput(); err != nil {
		w.soak.fail("qemu-img on the local disk: %v: %s", err, out)
		return
	}
	data, err := os.ReadFile(local)
	if err != nil {
		w.soak.fail("%v", err)
		return
	}
	m := w.soak.trouble.mark()
	ok := w.run("qemu-img", append(args, w.path(f))...).ok
	// It does not look at what close returns, and says nothing of one that failed.
	ok = ok && !w.soak.trouble.excuses(m)
	if !ok {
		f.maybe(state{there: true, any: true})
	}
	w.wrote(f, holding(data), ok)
}

// disk asks what the disk is.
func (w *worker) disk(f *file) {
	o := w.run("qemu-img", "info", "--output=json", w.path(f))
	if !o.ok {
		return
	}
	var info struct {
		Format string `json:"format"`
		Size   int64  `json:"virtual-size"`
	}
	if err := json.Unmarshal([]byte(o.out), &info); err != nil || info.Format != "qcow2" || info.Size != diskSize {
		w.soak.fail("%s is a %s of %d bytes, %v", f.name, info.Format, info.Size, err)
	}
}

// compareDisk compares a disk by its content, unless a convert that failed has made another
// one locally since.
func (w *worker) compareDisk(f *file, s state) {
	made, err := os.ReadFile(w.local("qcow2-" + f.name))
	if err != nil {
		w.soak.fail("%v", err)
		return
	}
	if !bytes.Equal(made, s.data) {
		return
	}
	o := w.run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", w.local("raw-"+f.name), w.path(f))
	switch {
	case o.code == 1: // qemu-img says so of a difference alone
		w.soak.fail("the disk %s differs: %s", f.name, o.out)
	case o.ok:
		w.soak.tally.compared(len(s.data))
	}
}
