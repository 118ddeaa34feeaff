package test

import "testing"

// fio writes blocks with checksums in random order, in the ways in which programs
// write disks, and reads them back while it still has the file open. Another mount
// then finds every block in the image.
func TestFioVerifies(t *testing.T) {
	ways := map[string][]string{
		"buffered.img": {"--ioengine=psync"},
		"direct.img":   {"--ioengine=psync", "--direct=1"},
		"mapped.img":   {"--ioengine=mmap"},
		"many.img":     {"--ioengine=libaio", "--direct=1", "--iodepth=16"},
	}
	onEach(t, func(t *testing.T, s service) {
		m := mountOn(t, s)
		fio := func(m *mount, name string, more ...string) {
			t.Helper()
			args := append([]string{
				"--name=verified", "--filename=" + m.path(name), "--rw=randwrite", "--bs=4k", "--size=8M", "--randseed=7",
				"--fallocate=none", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
			}, ways[name]...)
			run(t, "fio", append(args, more...)...)
		}
		for name := range ways {
			s.cleanName(t, name)
			fio(m, name, "--do_verify=1")
		}
		m.settled()
		m.unmount()
		again := mountOn(t, s)
		for name := range ways {
			fio(again, name, "--verify_only")
		}
	})
}
