package main

import (
	"fmt"
	"strings"
)

const propertyName = "user.image.property.soak"

// attributes is the work of setfattr, getfattr and chmod, on small files.
func attributes(w *worker) {
	f, _ := w.known()
	if f == nil {
		f = w.any()
		s, known := f.now()
		new := holding(w.fresh(8 << 10))
		ok := w.run("cp", w.write("from", new.data), w.path(f)).ok
		w.wrote(f, new, ok)
		if ok && known && !s.there {
			f.property = []string{""}
		} else { // what was there has passed its own on, or was not there
			f.property = append(f.property, "")
		}
		return
	}
	switch w.random.IntN(8) {
	case 0, 1, 2:
		w.seed++
		value := fmt.Sprint(w.seed)
		w.property(f, value, w.run("setfattr", "-n", propertyName, "-v", value, w.path(f)).ok)
	case 3:
		if len(f.property) == 1 && f.property[0] != "" {
			w.property(f, "", w.run("setfattr", "-x", propertyName, w.path(f)).ok)
		}
	case 4:
		if w.run("chmod", "640", w.path(f)).ok && !w.run("chmod", "644", w.path(f)).ok {
			f.failed = true
		}
	case 5:
		w.copyOut()
	case 6:
		if w.random.IntN(4) == 0 {
			w.remove(f)
			if s, ok := f.now(); ok && !s.there {
				f.property = []string{""}
			}
		}
	default:
		if len(f.property) != 1 || f.property[0] == "" {
			return
		}
		if o := w.run("getfattr", "--absolute-names", "--only-values", "-n", propertyName, w.path(f)); o.ok && strings.TrimSpace(o.out) != f.property[0] {
			w.soak.fail("%s has %q as its property, want %q", f.name, o.out, f.property[0])
		}
	}
}

func (w *worker) property(f *file, value string, ok bool) {
	if ok {
		f.property = []string{value}
		return
	}
	f.failed = true
	f.property = append(f.property, value)
}
