// Preloaded into QEMU: one that waits for a state is a machine already, so that a wake need not make it one. It has the files
// of a guest by their names, without having them: what it opened stands in for what will be there by the same name when it
// opens the state. Then its descriptors and its memory become those of the guest's, before it has read anything of them.
#define _GNU_SOURCE
#include "preload.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

static const char GIVEN[] = "/given/";
static struct {
	char path[32];
	int flags, fd;
} files[16];
static struct {
	void *start;
	size_t length;
	int protection, flags, advice[8], advices;
	off64_t offset;
} memory;
static int is_replaced;

void note_opened(const char *path, int flags, int fd) {
	if (fd < 0 || is_replaced || strncmp(path, GIVEN, sizeof GIVEN - 1) || strlen(path) >= sizeof files->path) return;
	for (int i = 0; i < LENGTH(files); i++) {
		if (files[i].path[0] && strcmp(files[i].path, path)) continue;
		strcpy(files[i].path, path);
		files[i].flags = flags;
		files[i].fd = fd;
		return;
	}
}

int replace_stand_ins(void) {
	if (is_replaced) return 0;
	if (!memory.length) {
		errno = ENOTSUP;
		return -1;
	}
	for (int i = 0; i < LENGTH(files) && files[i].path[0]; i++) {
		int fd = (int)syscall(SYS_openat, AT_FDCWD, files[i].path, files[i].flags);
		if (fd < 0 || dup3(fd, files[i].fd, O_CLOEXEC) < 0) return -1;
		close(fd);
	}
	is_replaced = 1;
	int flags = memory.flags | MAP_FIXED;
	if (mmap(memory.start, memory.length, memory.protection, flags, memory_fd, memory.offset) == MAP_FAILED) return -1;
	for (int i = 0; i < memory.advices; i++) madvise(memory.start, memory.length, memory.advice[i]);
	return 0;
}

void *mmap64(void *start, size_t length, int protection, int flags, int fd, off64_t offset) {
	void *at = (void *)syscall(SYS_mmap, start, length, protection, flags, fd, offset);
	if (at == MAP_FAILED || fd != memory_fd || fd < 0 || is_replaced) return at;
	memory.start = at;
	memory.length = length;
	memory.protection = protection;
	memory.flags = flags;
	memory.offset = offset;
	return at;
}

void *mmap(void *start, size_t length, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap64")));

int madvise(void *start, size_t length, int advice) {
	int is_memory = start == memory.start && length == memory.length && memory.length > 0;
	if (is_memory && !is_replaced && memory.advices < LENGTH(memory.advice)) memory.advice[memory.advices++] = advice;
	return (int)syscall(SYS_madvise, start, length, advice);
}
