package fs

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// raiseReadAhead lets the kernel read ahead of sequential readers by more than the
// 128 KiB that FUSE may ask for when it is mounted. That takes root; without it,
// reading is only slower. A value that is higher already stays.
//
// The device is found in the mount table: stat would wait for a mount that is stuck.
func (f *FS) raiseReadAhead(mountpoint string) {
	if err := setReadAhead(mountpoint, f.tuning.readAhead); err != nil {
		f.log.Debug("the kernel's read-ahead stays as it is: sequential reads are slower", "error", err)
	}
}

func setReadAhead(mountpoint string, bytes int) error {
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(mountpoint))
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return fmt.Errorf("%s is not in the mount table", mountpoint)
	}
	m := mounts[len(mounts)-1] // the one on top
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", m.Major, m.Minor)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || now >= bytes>>10 {
		return err
	}
	return os.WriteFile(path, []byte(strconv.Itoa(bytes>>10)), 0)
}
