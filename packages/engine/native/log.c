// A machine's output on its way to its log. The guest may print without end: what stands between the two keeps the file short
// whether or not an engine lives. It is in the machine's cgroups, which pay for it, and ends with the last writer.
#define _GNU_SOURCE
#include "host.h"
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LONGEST = 2 << 20,
	PIECE = 64 << 10,
	// More than a reader asks for at once, which is 1 MiB.
	KEPT = (1 << 20) + PIECE,
};

// Moves the end of the file to its beginning, from the start of a line.
static void shorten(int log, off_t size) {
	static char piece[PIECE];
	off_t from = size - KEPT, to = 0;
	if (fcntl(log, F_SETFL, 0) < 0) return; // Opened to append, it would only grow.
	while (from < size) {
		ssize_t got = pread(log, piece, sizeof piece, from);
		if (got <= 0) break;
		const char *line = to == 0 ? memchr(piece, '\n', (size_t)got) : NULL;
		ssize_t skipped = line ? line + 1 - piece : 0;
		if (got > skipped && pwrite(log, piece + skipped, (size_t)(got - skipped), to) != got - skipped) break;
		from += got;
		to += got - skipped;
	}
	// Should that have failed, the host has no room: what was kept so far is all there is.
	if (ftruncate(log, to) < 0 || fcntl(log, F_SETFL, O_APPEND) < 0) _exit(1);
}

static void keep_log(int log, int output) {
	static char piece[PIECE];
	for (;;) {
		ssize_t got = read(output, piece, sizeof piece);
		if (got < 0 && errno == EINTR) continue;
		if (got <= 0) _exit(0);
		struct stat info;
		if (fstat(log, &info) < 0) continue;
		if (info.st_size + got > LONGEST) shorten(log, info.st_size);
		// Where the host has no room it is lost: the guest must not wait for that.
		for (ssize_t at = 0; at < got;) {
			ssize_t put = write(log, piece + at, (size_t)(got - at));
			if (put < 0 && errno == EINTR) continue;
			if (put <= 0) break;
			at += put;
		}
	}
}

int open_log(const char *path) {
	int log = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640), ends[2];
	if (log < 0) fail("open", path);
	if (pipe2(ends, O_CLOEXEC) < 0) fail("pipe for", path);
	pid_t pid = fork();
	if (pid < 0) fail("fork for", path);
	if (pid == 0) {
		// Of what it inherits, two descriptors are its own: others wait for all who have the rest.
		if (dup2(ends[0], 0) < 0 || dup2(log, 1) < 0 || close_range(2, ~0U, 0) < 0 || setsid() < 0) _exit(1);
		prctl(PR_SET_NAME, "dormice-log");
		// A guest that takes too much memory dies of it itself.
		int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		if (write(score, "-1000", 5) < 0) {} // Only better.
		close(score);
		keep_log(1, 0);
	}
	close(log);
	close(ends[0]);
	return ends[1];
}
