// Preloaded into QEMU: what a guest has freed goes back to the host.
//
// QEMU discards nothing of a memory whose file it opened read-only, for it takes what it discards out of the file too. The
// file of a guest's memory is a stored state that others go on from: it is never opened to be written. So QEMU is told that
// it was, and that the hole it wants in it is there. What it does next counts: it drops its own copies of those pages, which
// then read as the file does. To the guest they are free pages, of which its kernel expects nothing.
#define _GNU_SOURCE
#include "preload.h"
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char MEMORY[] = "/given/memory", STATE[] = "/given/state", STORED_STATE[] = "/given/stored-state";
int memory_fd = -1;

static int opened(const char *path, int flags, mode_t mode) {
	int is_memory = !strcmp(path, MEMORY) && (flags & O_ACCMODE) == O_RDWR;
	if (is_memory) flags = (flags & ~(O_ACCMODE | O_CREAT)) | O_RDONLY;
	if (!strcmp(path, STATE)) {
		if (replace_stand_ins() < 0) return -1;
		// There is none by the name that QEMU knows: without this library it cannot go on over stand-ins.
		path = STORED_STATE;
	}
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (is_memory) memory_fd = fd;
	note_opened(path, flags, fd);
	return fd;
}

int open64(const char *path, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return opened(path, flags, mode);
}

int __open64_2(const char *path, int flags) {
	return opened(path, flags, 0);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
	if (fd == memory_fd && fd >= 0) return 0;
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}
