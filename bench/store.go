package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// A stored result is one row of the file beside the document, from which the
// document can be written anew after some rows were measured again.
type stored struct {
	Row        string            `json:"row"`
	Date       string            `json:"date"`
	Version    string            `json:"version"` // of imagefs
	Machine    string            `json:"machine"`
	Contenders []storedContender `json:"contenders"`
}

type storedContender struct {
	Name string   `json:"name"`
	How  string   `json:"how"`
	Runs []values `json:"runs"`
}

func (r result) store(version, machine string) stored {
	s := stored{Row: r.row.name, Date: r.taken.UTC().Format("2006-01-02"), Version: version, Machine: machine}
	for _, c := range r.rows {
		s.Contenders = append(s.Contenders, storedContender{Name: c.name, How: c.how, Runs: c.runs})
	}
	return s
}

// result is the stored row again, but for the time of day.
func (s stored) result(r row) result {
	res := result{row: r}
	for _, c := range s.Contenders {
		res.rows = append(res.rows, contenderResult{name: c.Name, how: c.How, runs: c.Runs})
	}
	return res
}

// loadStored reads the file; none is an empty one.
func loadStored(path string) ([]stored, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []stored
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// merge puts new rows in the places of old ones, in the order of rows. What is no
// row any more goes.
func merge(rows []row, old, measured []stored) []stored {
	byName := map[string]stored{}
	for _, s := range old {
		byName[s.Row] = s
	}
	for _, s := range measured {
		byName[s.Row] = s
	}
	var all []stored
	for _, r := range rows {
		if s, ok := byName[r.name]; ok {
			all = append(all, s)
		}
	}
	return all
}

// machine describes this one as far as it matters.
func machine() string {
	var u unix.Utsname
	var s unix.Sysinfo_t
	// Both only fail on bad pointers.
	_, _ = unix.Uname(&u), unix.Sysinfo(&s)
	kernel, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("%d cores, %s of memory, Linux %s", runtime.NumCPU(), humanize.IBytes(uint64(s.Totalram)*uint64(s.Unit)), kernel)
}
