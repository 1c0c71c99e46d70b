// Whether an ext4 image says of itself that it was hurt, and its repair.
#define _GNU_SOURCE
#include "host.h"
#include <endian.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Linux' fs/ext4/ext4.h and include/linux/jbd2.h: where things are, and what they mean.
enum {
	SUPERBLOCK = 1024,
	S_LOG_BLOCK_SIZE = 0x18,
	S_MAGIC = 0x38,
	S_STATE = 0x3a,
	S_JOURNAL_BLOCKS = 0x10c, // A copy of what the journal's inode has: an extent header, then extents.
	MAGIC = 0xef53,
	ERROR_STATE = 2,
	EXTENT_MAGIC = 0xf30a,
	JOURNAL_ERRNO = 0x20,
};
#define JOURNAL_MAGIC 0xc03b3998u

// e2fsck's exit code: errors corrected, and that a machine whose root it is should boot. Any other bit is a failure.
enum { CORRECTED = 1 | 2, FAILED = 8 };
#define MOST_MEMORY (2ull << 30)

static uint32_t le(const unsigned char *at, int bytes) {
	uint32_t value = 0;
	while (bytes-- > 0) value = value << 8 | at[bytes];
	return value;
}

// The flag is in the superblock; a journal that was given up says so in its own first block, until it is next mounted.
int is_hurt(int fd) {
	unsigned char super[1024], journal[JOURNAL_ERRNO + 4];
	if (pread(fd, super, sizeof super, SUPERBLOCK) != sizeof super || le(super + S_MAGIC, 2) != MAGIC) return 1;
	if (le(super + S_STATE, 2) & ERROR_STATE) return 1;
	const unsigned char *header = super + S_JOURNAL_BLOCKS, *extent = header + 12;
	if (le(header, 2) != EXTENT_MAGIC || le(header + 6, 2) != 0) return 0; // Not as we make them: mounting it will tell.
	uint64_t block = (uint64_t)le(extent + 6, 2) << 32 | le(extent + 8, 4);
	off_t at = (off_t)(block << (10 + le(super + S_LOG_BLOCK_SIZE, 4) % 8));
	if (pread(fd, journal, sizeof journal, at) != sizeof journal) return 1;
	uint32_t magic, number;
	memcpy(&magic, journal, sizeof magic);
	memcpy(&number, journal + JOURNAL_ERRNO, sizeof number);
	return be32toh(magic) != JOURNAL_MAGIC || number != 0;
}

void check_disk(const char *image) {
	if (!is_hurt(open_or_fail(image, O_RDONLY | O_NOFOLLOW))) return;
	errno = EUCLEAN;
	fail("check", image);
}

// A guest may have written anything into it: what reads it all has no rights but to this file.
static int run_fsck(int image, uid_t uid, const char *how) {
	char path[32];
	snprintf(path, sizeof path, "/dev/fd/%d", image);
	pid_t pid = fork();
	if (pid < 0) fail("fork for", "e2fsck");
	if (pid == 0) {
		struct rlimit memory = {.rlim_cur = MOST_MEMORY, .rlim_max = MOST_MEMORY};
		fcntl(image, F_SETFD, 0);
		if (setrlimit(RLIMIT_AS, &memory) < 0) fail("limit", "e2fsck");
		if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0) fail("become", "another user");
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail("prctl of", "e2fsck");
		char *const argv[] = {"e2fsck", "-f", (char *)how, path, NULL}, *const none[] = {NULL};
		execve("/usr/sbin/e2fsck", argv, none);
		execve("/sbin/e2fsck", argv, none);
		fail("start", "e2fsck");
	}
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
	return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

// What is safe first, then whatever it takes. What it says is printed.
void repair(const char *image, const char *user) {
	struct stat before;
	uid_t uid = (uid_t)strtoul(user, NULL, 10);
	int fd = open_or_fail(image, O_RDWR | O_NOFOLLOW);
	if (fstat(fd, &before) < 0 || fchown(fd, uid, uid) < 0) fail("give", image);
	int code = run_fsck(fd, uid, "-p");
	if (code & ~CORRECTED) code = run_fsck(fd, uid, "-y");
	if (fchown(fd, before.st_uid, before.st_gid) < 0) fail("take back", image);
	if (!(code & ~CORRECTED)) return;
	errno = EUCLEAN;
	fail("repair", image);
}
