// Preloaded into stress-ng: the directory that each stressor makes for itself below
// ONMOUNT_BELOW becomes a link to the mountpoint, ONMOUNT_AT, which has one directory.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int mkdir(const char *path, mode_t mode)
{
	const char *below = getenv("ONMOUNT_BELOW"), *name = strrchr(path, '/');

	if (below && name && strlen(below) == (size_t)(name - path) && !strncmp(path, below, name - path))
		return symlink(getenv("ONMOUNT_AT"), path);
	return syscall(SYS_mkdir, path, mode);
}

int rmdir(const char *path)
{
	char to[1];

	if (readlink(path, to, sizeof to) >= 0)
		return unlink(path);
	return syscall(SYS_rmdir, path);
}
