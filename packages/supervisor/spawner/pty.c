#define _GNU_SOURCE
#include "pty.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

int open_terminal(unsigned columns, unsigned rows) {
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0) return -1;
	if (ioctl(master, TIOCSPTLCK, &(int){0}) < 0) {
		close(master);
		return -1;
	}
	resize_terminal(master, columns, rows);
	return master;
}

int take_terminal(int master) {
	unsigned number;
	char path[32];
	if (ioctl(master, TIOCGPTN, &number) < 0) return -1;
	snprintf(path, sizeof path, "/dev/pts/%u", number);
	int slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0) return -1;
	struct termios mode;
	if (tcgetattr(slave, &mode) == 0) {
		/* Erasing one character of UTF-8 input erases the whole character. */
		mode.c_iflag |= IUTF8;
		tcsetattr(slave, TCSANOW, &mode);
	}
	return dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0 ? -1 : 0;
}

int resize_terminal(int master, unsigned columns, unsigned rows) {
	struct winsize wanted = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
	return ioctl(master, TIOCSWINSZ, &wanted) < 0 ? errno : 0;
}

/* Calls `act` with every process of the session, and returns how often that said 1. */
static int each_member(pid_t session, int (*act)(pid_t member, pid_t group, const void *), const void *context) {
	int count = 0;
	DIR *proc = opendir("/proc");
	if (!proc) return 0;
	for (struct dirent *entry; (entry = readdir(proc));) {
		char path[300], stat[512];
		int group = 0, member = 0;
		snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
		int fd = *entry->d_name >= '1' && *entry->d_name <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0) continue;
		ssize_t n = read(fd, stat, sizeof stat - 1);
		close(fd);
		stat[n > 0 ? n : 0] = '\0';
		/* The name is in parentheses and may hold anything, so from its end: state, parent, group, session. */
		char *rest = strrchr(stat, ')');
		if (!rest || sscanf(rest, ") %*c %*d %d %d", &group, &member) != 2 || member != session) continue;
		count += act(atoi(entry->d_name), group, context);
	}
	closedir(proc);
	return count;
}

static int tell_one_resized(pid_t member, pid_t group, const void *context) {
	(void)group, (void)context;
	return kill(member, SIGWINCH) == 0;
}

void tell_resized(pid_t session) { each_member(session, tell_one_resized, NULL); }

/* What is being ended: the terminal's name, the group in its foreground (-1 where the kernel does not say), and whether to hang up. */
struct end {
	char name[32];
	pid_t foreground;
	bool hang_up;
};

static int end_one(pid_t member, pid_t group, const void *context) {
	const struct end *end = context;
	bool ran = group == end->foreground;
	for (int fd = 0; fd < 3 && !ran; fd++) {
		char path[64], target[32];
		snprintf(path, sizeof path, "/proc/%d/fd/%d", member, fd);
		ssize_t n = readlink(path, target, sizeof target);
		ran = n == (ssize_t)strlen(end->name) && memcmp(target, end->name, (size_t)n) == 0;
	}
	if (ran) return kill(member, SIGKILL) == 0;
	if (end->hang_up) {
		kill(member, SIGHUP);
		/* One that is stopped would not hear of it. */
		kill(member, SIGCONT);
	}
	return 0;
}

void end_session(int master, pid_t session) {
	unsigned number;
	if (ioctl(master, TIOCGPTN, &number) < 0) return;
	struct end end = {.foreground = -1, .hang_up = true};
	snprintf(end.name, sizeof end.name, "/dev/pts/%u", number);
	if (ioctl(master, TIOCGPGRP, &end.foreground) < 0) end.foreground = -1;
	/* Again, for what was started meanwhile. */
	for (int turns = 4; turns > 0 && each_member(session, end_one, &end) > 0; turns--) end.hang_up = false;
}

/* One direction: a buffer between two descriptors. */
struct flow {
	int from, to;
	char bytes[16384];
	ssize_t start, end;
};

/* Moves what it can without waiting. False when the direction is over. */
static int move(struct flow *f, short from_events, short to_events) {
	if (f->start == f->end && from_events) {
		f->start = 0;
		f->end = read(f->from, f->bytes, sizeof f->bytes);
		if (f->end <= 0) {
			int again = f->end < 0 && (errno == EAGAIN || errno == EINTR);
			f->end = 0;
			return again;
		}
	} else if (f->start < f->end && to_events) {
		ssize_t n = write(f->to, f->bytes + f->start, (size_t)(f->end - f->start));
		if (n < 0) return errno == EAGAIN || errno == EINTR;
		f->start += n;
	}
	return 1;
}

/* Both directions wait on their own, so ^C gets through to a program whose output nobody reads. */
static void relay(int master, int input, int output) {
	static struct flow in, out;
	in.from = input, in.to = master, out.from = master, out.to = output;
	for (int typing = 1;;) {
		short want_in = in.start == in.end ? 0 : POLLOUT, want_out = out.start == out.end ? POLLIN : 0;
		struct pollfd fds[3] = {
		    {.fd = typing && !want_in ? input : -1, .events = POLLIN},
		    {.fd = want_in || want_out ? master : -1, .events = (short)(want_in | want_out)},
		    {.fd = output, .events = want_out ? 0 : POLLOUT},
		};
		if (poll(fds, 3, -1) < 0 && errno != EINTR) return;
		if (typing && !move(&in, fds[0].revents, fds[1].revents & (POLLOUT | POLLHUP | POLLERR))) {
			typing = 0;
			in.start = in.end = 0;
		}
		if (fds[2].revents & POLLERR) return;
		if (!move(&out, fds[1].revents & (POLLIN | POLLHUP | POLLERR), fds[2].revents & POLLOUT)) return;
	}
}

pid_t start_relay(int master, int input, int output) {
	pid_t pid = fork();
	if (pid != 0) return pid;
	signal(SIGPIPE, SIG_IGN);
	/* Nothing else of ours may stay open in here, or other programs would never see the end of their pipes. */
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(master, 2) < 0) _exit(1);
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
		for (int fd = 3; fd < 1024; fd++) close(fd);
	fcntl(1, F_SETFL, O_WRONLY | O_NONBLOCK);
	fcntl(2, F_SETFL, O_RDWR | O_NONBLOCK);
	relay(2, 0, 1);
	_exit(0);
}
