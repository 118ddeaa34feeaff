// Makes one system call, when it is told to: caller OPERATION PATH [ARGUMENT].
// It prints "ready" before it waits for a byte on its standard input, and then "done", or
// the name of the error. A program of one thread, so that a signal meets the call; its
// handler of SIGALRM is one with SA_RESTART.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static void caught(int signal) { (void)signal; }

static void end(const char *word) {
	printf("%s\n", word);
	fflush(stdout);
	_exit(0);
}

static int must(int result) {
	if (result < 0) end(strerrorname_np(errno));
	return result;
}

static void ready(void) {
	char go;
	printf("ready\n");
	fflush(stdout);
	if (read(0, &go, 1) != 1) _exit(1); // nobody waits for us
}

int main(int argc, char **argv) {
	if (argc < 3) return 2;
	const char *op = argv[1], *path = argv[2], *argument = argc > 3 ? argv[3] : "";
	struct sigaction on_alarm = {.sa_handler = caught, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &on_alarm, NULL);
	void *buffer;
	if (posix_memalign(&buffer, 4096, 4096)) return 2;
	memset(buffer, 'x', 4096);

	if (!strcmp(op, "read") || !strcmp(op, "read directly")) {
		int fd = must(open(path, O_RDONLY | (op[4] ? O_DIRECT : 0)));
		ready();
		if (must(pread(fd, buffer, 4096, atol(argument))) != 4096) end("short");
	} else if (!strcmp(op, "readdir")) {
		DIR *dir = opendir(path);
		if (!dir) must(-1);
		ready();
		errno = 0;
		while (readdir(dir)) {}
		if (errno) must(-1);
	} else if (!strcmp(op, "stat")) {
		struct stat st;
		ready();
		must(stat(path, &st));
	} else if (!strcmp(op, "statfs")) {
		struct statfs st;
		ready();
		must(statfs(path, &st));
	} else if (!strcmp(op, "create")) {
		ready();
		must(open(path, O_CREAT | O_EXCL | O_WRONLY, 0644));
	} else if (!strcmp(op, "open")) {
		ready();
		must(open(path, strcmp(argument, "to read") ? O_WRONLY : O_RDONLY));
	} else if (!strcmp(op, "write")) {
		int fd = must(open(path, O_WRONLY));
		ready();
		must(pwrite(fd, buffer, 4096, 0));
	} else if (!strcmp(op, "close")) {
		int fd = must(open(path, O_CREAT | O_WRONLY, 0644));
		must(write(fd, buffer, 4096));
		ready();
		must(close(fd));
	} else if (!strcmp(op, "fsync")) {
		int fd = must(open(path, O_RDONLY));
		ready();
		must(fchmod(fd, strtol(argument, NULL, 8)));
		must(fsync(fd));
	} else if (!strcmp(op, "truncate")) {
		ready();
		must(truncate(path, 100));
	} else if (!strcmp(op, "chmod")) {
		ready();
		must(chmod(path, strtol(argument, NULL, 8)));
	} else if (!strcmp(op, "setxattr")) {
		ready();
		must(setxattr(path, "user.image.property.waits", argument, strlen(argument), 0));
	} else if (!strcmp(op, "rename")) {
		ready();
		must(rename(path, argument));
	} else if (!strcmp(op, "unlink")) {
		ready();
		must(unlink(path));
	} else {
		return 2;
	}
	end("done");
}
