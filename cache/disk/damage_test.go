package disk

import (
	"errors"
	"os"
	"testing"
)

// damage writes an image of ten blocks, does something to its files while the
// store has them open, has them closed, or is closed, and returns how many blocks
// are left. The log tells of those that are missing; after a restart it need not.
func damage(t *testing.T, quiet bool, do func(data, index string)) map[string]int64 {
	t.Helper()
	left := map[string]int64{}
	for _, state := range []string{"open", "closed", "restart"} {
		var log journal
		o := options(t.TempDir())
		o.Logger = log.logger()
		s := openStore(t, o, nil)
		p := draw(1, 10*unit)
		p.img.HashValue = "" // verification is not the subject
		i := p.in(s)
		p.write(i, 0, 10)
		switch state {
		case "closed":
			i.Close()
		case "restart":
			i.Close()
			must(t, s.Close())
		}
		do(path(o, p, dataSuffix), path(o, p, indexSuffix))
		if state == "restart" {
			s = openStore(t, o, nil)
		}
		if state != "open" {
			i = p.in(s)
		}
		left[state] = p.read(t, i)
		lines := 1
		if left[state] == 10 || quiet && state == "restart" {
			lines = 0
		}
		if log.count("level=WARN") != lines {
			t.Errorf("%s: the log has %s", state, log.text.String())
		}
		// What is missing is fetched again, and stays.
		p.write(i, 0, 10)
		p.want(t, i, 10)
		if got := s.Stats(); got.Blocks != 10 || got.Bytes != 10*unit+fileCharge {
			t.Errorf("%s: %+v", state, got)
		}
		i.Close()
		must(t, s.Close())
		s = openStore(t, o, nil)
		i = p.in(s)
		if n := p.read(t, i); n < 10 && left[state] < 10 {
			t.Errorf("%s: %d blocks after all was fetched again and a restart", state, n)
		}
		i.Close()
		must(t, s.Close())
	}
	return left
}

func TestDamage(t *testing.T) {
	slot := func(n int64) int64 { return slotAt(n) }
	for name, c := range map[string]struct {
		do                    func(data, index string)
		open, closed, restart int64 // blocks left
		quiet                 bool  // a restart has nothing to tell
	}{
		"flipped byte": {func(data, _ string) { flip(t, data, 5*unit+7) }, 9, 9, 9, false},
		"two bytes":    {func(data, _ string) { flip(t, data, 0); flip(t, data, 10*unit-1) }, 8, 8, 8, false},
		// In memory the index is as it was.
		"flipped checksum": {func(_, index string) { flip(t, index, slot(3)) }, 10, 10, 9, false},
		"flipped stamp":    {func(_, index string) { flip(t, index, slot(3)+4) }, 10, 10, 10, false},
		"flipped header":   {func(_, index string) { flip(t, index, 100) }, 10, 10, 0, false},
		"emptied slot": {func(_, index string) {
			f, err := os.OpenFile(index, os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt(make([]byte, slotSize), slot(3))
			must(t, errors.Join(err, f.Close()))
		}, 10, 10, 9, true},
		"data cut":       {func(data, _ string) { must(t, os.Truncate(data, 5*unit+1)) }, 5, 0, 0, false},
		"data emptied":   {func(data, _ string) { must(t, os.Truncate(data, 0)) }, 0, 0, 0, false},
		"data longer":    {func(data, _ string) { must(t, os.Truncate(data, 11*unit)) }, 10, 0, 0, false},
		"index cut":      {func(_, index string) { must(t, os.Truncate(index, slotAt(3)+2)) }, 10, 10, 3, true},
		"index emptied":  {func(_, index string) { must(t, os.Truncate(index, 0)) }, 10, 0, 0, false},
		"index longer":   {func(_, index string) { must(t, os.Truncate(index, slotAt(11))) }, 10, 10, 0, false},
		"data deleted":   {func(data, _ string) { must(t, os.Remove(data)) }, 10, 0, 0, false},
		"index deleted":  {func(_, index string) { must(t, os.Remove(index)) }, 10, 0, 0, true},
		"both deleted":   {func(data, index string) { must(t, os.Remove(data)); must(t, os.Remove(index)) }, 10, 0, 0, true},
		"a link instead": {func(data, _ string) { must(t, os.Remove(data)); must(t, os.Symlink("/etc/passwd", data)) }, 10, 0, 0, false},
		"other file there": {func(data, _ string) {
			must(t, os.Remove(data))
			must(t, os.WriteFile(data, make([]byte, 10*unit), 0o600))
		}, 10, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			left := damage(t, c.quiet, c.do)
			want := map[string]int64{"open": c.open, "closed": c.closed, "restart": c.restart}
			for state, n := range want {
				if left[state] != n {
					t.Errorf("%s: %d blocks are left, want %d", state, left[state], n)
				}
			}
		})
	}
}

// A whole file of damage is one line in the log, and takes no room.
func TestDamageIsToldOnce(t *testing.T) {
	var log journal
	o := options(t.TempDir())
	o.Logger = log.logger()
	s := openStore(t, o, nil)
	p := draw(1, 50*unit)
	i := p.in(s)
	p.write(i, 0, 50)
	for n := range int64(50) {
		flip(t, path(o, p, dataSuffix), n*unit)
	}
	p.want(t, i, 0)
	if n := log.count("cached block is damaged; fetched again"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if got := s.Stats(); got.Damaged != 50 || got.Blocks != 0 || got.Bytes != 0 {
		t.Errorf("%+v", got)
	}
	i.Close()
}

// An index that was made for another block size or another image is of no use.
func TestForeignIndex(t *testing.T) {
	for name, change := range map[string]func(h *header, p []byte) []byte{
		"block size": func(h *header, _ []byte) []byte { h.BlockSize *= 2; return nil },
		"id":         func(h *header, _ []byte) []byte { h.ID = draw(2, 1).img.ID; return nil },
		"version":    func(h *header, _ []byte) []byte { h.Version += "0"; return nil },
		"service":    func(h *header, _ []byte) []byte { h.Service += "/"; return nil },
		"size":       func(h *header, _ []byte) []byte { h.Size--; return nil },
		"huge size":  func(h *header, _ []byte) []byte { h.Size = 1 << 62; return nil },
		"length":     nil, // of the data file
	} {
		o := options(t.TempDir())
		s := openStore(t, o, nil)
		p := draw(1, 10*unit)
		i := p.in(s)
		p.write(i, 0, 9)
		i.Close()
		must(t, s.Close())
		index := path(o, p, indexSuffix)
		data, err := os.ReadFile(index)
		must(t, err)
		h, err := decode(data[:headerSize])
		must(t, err)
		var head []byte
		if change != nil {
			head = change(h, append([]byte(nil), data[:headerSize]...))
		} else {
			must(t, os.Truncate(path(o, p, dataSuffix), p.img.Size-1))
		}
		if head == nil {
			head, err = h.encode()
			must(t, err)
		}
		must(t, os.WriteFile(index, append(head, data[headerSize:]...), 0o600))
		s = openStore(t, o, nil)
		if got := s.Stats(); got.Blocks != 0 || got.Bytes != 0 || stored(t, o.Dir) > chargeUnit {
			t.Errorf("another %s: %+v", name, got)
		}
		must(t, s.Close())
	}
}
