package conformance

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var attributes = group{"Attributes", []row{
	{"stat, fstat, lstat", "from memory; as many blocks as the size has, one link", 0, func(p place) error {
		var st syscall.Stat_t
		err := syscall.Lstat(p.image, &st)
		return errors.Join(err, wrong(st.Mode != syscall.S_IFREG|0o644 || st.Size != int64(len(content())) || st.Nlink != 1 || st.Blocks*512 < st.Size, "%+v", st))
	}},
	{"statx", "also the time of birth: when the image was created", 0, func(p place) error {
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, p.image, 0, unix.STATX_ALL, &st)
		return errors.Join(err, wrong(st.Mask&unix.STATX_BTIME != 0 && st.Btime != st.Mtime, "born at %v, changed at %v", st.Btime, st.Mtime))
	}},
	{"access, faccessat", "by the kernel, from mode and owner; here to execute", syscall.EACCES, func(p place) error {
		if err := errors.Join(syscall.Access(p.image, unix.R_OK), syscall.Access(p.image, unix.W_OK)); err != nil {
			return wrong(true, "%v", err)
		}
		return syscall.Access(p.image, unix.X_OK)
	}},
	{"chmod, fchmod", "kept with the image", 0, func(p place) error {
		var st syscall.Stat_t
		err := errors.Join(syscall.Chmod(p.image, 0o640), syscall.Stat(p.image, &st))
		return errors.Join(err, wrong(st.Mode != syscall.S_IFREG|0o640, "its mode is %o", st.Mode))
	}},
	{"chown, fchown, lchown", "kept with the image", 0, func(p place) error {
		var st syscall.Stat_t
		uid, gid := os.Getuid(), os.Getgid()
		if uid == 0 {
			uid, gid = 7, 8 // others may not give files away
		}
		err := errors.Join(syscall.Lchown(p.image, uid, gid), syscall.Stat(p.image, &st))
		return errors.Join(err, wrong(st.Uid != uint32(uid) || st.Gid != uint32(gid), "it belongs to %d:%d", st.Uid, st.Gid))
	}},
	{"utimensat, futimens, utime", "the time of the last change is kept with the image; the time of the last access is the same", 0, func(p place) error {
		then := time.Unix(1_600_000_000, 123_456_789)
		var st syscall.Stat_t
		err := errors.Join(os.Chtimes(p.image, then.Add(-time.Hour), then), syscall.Stat(p.image, &st))
		return errors.Join(err, wrong(time.Unix(st.Mtim.Unix()) != then || st.Atim != st.Mtim, "changed at %v, accessed at %v", st.Mtim, st.Atim))
	}},
	{"umask", "no effect: new files have 0644", 0, func(p place) error {
		was := syscall.Umask(0o077)
		err := with(p.fresh, syscall.O_WRONLY|syscall.O_CREAT, nothing)
		syscall.Umask(was)
		var st syscall.Stat_t
		err = errors.Join(err, syscall.Stat(p.fresh, &st))
		return errors.Join(err, wrong(st.Mode&0o777 != 0o644, "its mode is %o", st.Mode))
	}},
	{"ioctl FS_IOC_GETFLAGS, FS_IOC_SETFLAGS", "no (lsattr, chattr)", syscall.ENOTTY, func(p place) error {
		return with(p.image, syscall.O_RDONLY, func(fd int) error {
			_, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
			return err
		})
	}},
}}

var xattrs = group{"Extended attributes", []row{
	{"getxattr, lgetxattr, fgetxattr", "what the record of the image has, as `user.image.*`", 0, func(p place) error {
		text := make([]byte, 100)
		n, err := unix.Lgetxattr(p.image, "user.image.disk_format", text)
		return errors.Join(err, wrong(string(text[:max(n, 0)]) != "raw", "%q", text))
	}},
	{"getxattr of one that is not there", "", syscall.ENODATA, func(p place) error {
		_, err := unix.Getxattr(p.image, "user.image.property.none", nil)
		return err
	}},
	{"getxattr into too little room", "", syscall.ERANGE, func(p place) error {
		_, err := unix.Getxattr(p.image, "user.image.id", make([]byte, 3))
		return err
	}},
	{"getxattr of another namespace", "no: `security.*`, `system.*` (ACLs), `trusted.*`", syscall.EOPNOTSUPP, func(p place) error {
		for _, name := range []string{"security.selinux", "system.posix_acl_access", "trusted.x"} {
			_, err := unix.Getxattr(p.image, name, nil)
			if !errors.Is(err, syscall.EOPNOTSUPP) && (os.Getuid() == 0 || !errors.Is(err, syscall.ENODATA)) {
				return wrong(true, "%s: %v", name, err)
			}
		}
		return syscall.EOPNOTSUPP
	}},
	{"listxattr", "those that can be set", 0, func(p place) error {
		n, err := unix.Listxattr(p.image, nil)
		return errors.Join(err, wrong(n == 0, "none is listed"))
	}},
	{"setxattr", "one update of the record", 0, func(p place) error {
		text := make([]byte, 100)
		err := unix.Setxattr(p.image, "user.image.property.os_distro", []byte("debian"), 0)
		n, gerr := unix.Getxattr(p.image, "user.image.property.os_distro", text)
		return errors.Join(err, gerr, wrong(string(text[:max(n, 0)]) != "debian", "%q", text))
	}},
	{"setxattr with XATTR_CREATE", "here it is there", syscall.EEXIST, func(p place) error {
		return unix.Setxattr(p.image, "user.image.tags", []byte("a"), unix.XATTR_CREATE)
	}},
	{"setxattr with XATTR_REPLACE", "here it is not there", syscall.ENODATA, func(p place) error {
		return unix.Setxattr(p.image, "user.image.property.none", []byte("a"), unix.XATTR_REPLACE)
	}},
	{"setxattr of what is the service's own", "refused", syscall.EPERM, func(p place) error {
		return unix.Setxattr(p.image, "user.image.id", []byte("x"), 0)
	}},
	{"setxattr of a value that is not of its type", "refused", syscall.EINVAL, func(p place) error {
		return unix.Setxattr(p.image, "user.image.min_disk", []byte("much"), 0)
	}},
	{"setxattr of any other name", "no", syscall.EOPNOTSUPP, func(p place) error {
		return unix.Setxattr(p.image, "user.comment", []byte("x"), 0)
	}},
	{"removexattr", "removes a property; a field gets what a new image has", 0, func(p place) error {
		return errors.Join(unix.Setxattr(p.image, "user.image.property.x", []byte("y"), 0), unix.Removexattr(p.image, "user.image.property.x"),
			unix.Removexattr(p.image, "user.image.tags"))
	}},
	{"removexattr of one that is not there", "", syscall.ENODATA, func(p place) error {
		return unix.Removexattr(p.image, "user.image.property.none")
	}},
	{"setxattr of a directory", "no", syscall.EOPNOTSUPP, func(p place) error { return unix.Setxattr(p.dir, "user.x", []byte("x"), 0) }},
}}
