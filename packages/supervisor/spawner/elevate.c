/*
 * Runs commands as root for those who may: gVisor honours no set-uid bit, so `sudo` asks this process instead, which
 * has been root since the sandbox started. Root may, and so may the members of the group `sudo`. The sandbox is the wall;
 * this only keeps its users apart as any Linux does.
 *
 * The kernel tells who asks with each piece of the request (SO_PASSCRED): who wrote it, not who opened the connection.
 * SO_PEERCRED will not do, because gVisor answers it with the credentials of whoever calls it, which is root here.
 *
 * One connection is one command. The client sends one frame (see wire.h) with its stdin, stdout and stderr:
 *   umask, cwd, file, argv[], environment[]
 * then one byte for every signal it wants passed on; it is sent the wait status, or errno + 65536 if nothing ran.
 */
#define _GNU_SOURCE
#include "elevate.h"
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int needs_elevating(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }

static bool is_number(const char *text) { return *text && strlen(text) <= 10 && text[strspn(text, "0123456789")] == 0; }

/* The name and group of the first account with this uid. The caller frees the name; NULL when there is none. */
static char *account(uid_t uid, unsigned long *gid) {
	char *line = NULL, *found = NULL;
	size_t size = 0;
	FILE *file = fopen("/etc/passwd", "re");
	while (file && !found && getline(&line, &size, file) > 0) {
		char *rest = line, *fields[4] = {0};
		for (int i = 0; i < 4; i++) fields[i] = strsep(&rest, ":");
		if (!fields[3] || !is_number(fields[2]) || !is_number(fields[3])) continue;
		if (strtoul(fields[2], NULL, 10) != uid) continue;
		*gid = strtoul(fields[3], NULL, 10);
		found = strdup(fields[0]);
	}
	if (file) fclose(file);
	free(line);
	return found;
}

/* Whether the line of /etc/group is `sudo`'s, and has this account: by its list, or as the account's own group. */
static bool has_member(char *line, const char *name, unsigned long gid) {
	char *rest = line, *fields[4] = {0};
	line[strcspn(line, "\n")] = 0;
	for (int i = 0; i < 4; i++) fields[i] = strsep(&rest, ":");
	if (!fields[3] || strcmp(fields[0], "sudo") != 0 || !is_number(fields[2])) return false;
	if (strtoul(fields[2], NULL, 10) == gid) return true;
	for (char *one; (one = strsep(&fields[3], ","));)
		if (strcmp(one, name) == 0) return true;
	return false;
}

static bool is_sudoer(uid_t uid) {
	char *line = NULL;
	size_t size = 0;
	unsigned long gid = 0;
	if (uid == 0) return true;
	char *name = account(uid, &gid);
	FILE *file = name ? fopen("/etc/group", "re") : NULL;
	bool member = false;
	while (file && !member && getline(&line, &size, file) > 0) member = has_member(line, name, gid);
	if (file) fclose(file);
	free(line);
	free(name);
	return member;
}

/* Who sent the piece, and the descriptors that came with it, if they are as many as there should be. */
static void take_control(struct msghdr *message, struct ucred *sender, int fds[ELEVATE_FDS]) {
	*sender = (struct ucred){0};
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET) continue;
		if (header->cmsg_type == SCM_CREDENTIALS && header->cmsg_len == CMSG_LEN(sizeof *sender))
			memcpy(sender, CMSG_DATA(header), sizeof *sender);
		if (header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int) * ELEVATE_FDS))
			memcpy(fds, CMSG_DATA(header), sizeof(int) * ELEVATE_FDS);
	}
}

/* Exactly `size` bytes, all written by one process: `asker` once there is one, or else whoever wrote the first. */
static bool receive(int connection, void *bytes, size_t size, struct ucred *asker, int fds[ELEVATE_FDS]) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * ELEVATE_FDS)];
	} control;
	for (size_t taken = 0; taken < size;) {
		struct iovec part = {.iov_base = (char *)bytes + taken, .iov_len = size - taken};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return false;
		struct ucred sender;
		take_control(&message, &sender, fds);
		/* Of what was sent without credentials, or by a process that has gone since, there is no pid. */
		if (sender.pid == 0) return false;
		if (asker->pid == 0) *asker = sender;
		if (sender.pid != asker->pid || sender.uid != asker->uid) return false;
		taken += (size_t)n;
	}
	return true;
}

/* The first frame, its sender, and the descriptors that came with it. The caller frees `*frame`. */
static bool receive_frame(int connection, unsigned char **frame, uint32_t *length, struct ucred *asker, int fds[ELEVATE_FDS]) {
	if (!receive(connection, length, 4, asker, fds) || fds[0] < 0 || *length > MAX_FRAME) return false;
	return (*frame = malloc(*length + 1)) && receive(connection, *frame, *length, asker, fds);
}

static pid_t start(struct reader *r, const int fds[ELEVATE_FDS]) {
	mode_t mask = take_u32(r);
	const char *cwd = take_string(r), *file = take_string(r);
	const char **argv = take_list(r), **environment = take_list(r);
	if (r->bad) {
		errno = EINVAL;
		return -1;
	}
	int report[2];
	if (pipe2(report, O_CLOEXEC) < 0) return -1;
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		umask(mask & 0777);
		for (int i = 0; i < ELEVATE_FDS; i++) dup2(fds[i], i);
		if (setgroups(0, NULL) == 0 && setgid(0) == 0 && setuid(0) == 0 && chdir(cwd) == 0) {
			execvpe(file, (char *const *)argv, (char *const *)environment);
		}
		_exit(write(report[1], &errno, sizeof errno) < 0 ? 126 : 127);
	}
	close(report[1]);
	int error = 0;
	if (pid > 0 && read(report[0], &error, sizeof error) > 0) {
		waitpid(pid, NULL, 0);
		errno = error;
		return -1;
	}
	return pid;
}

/* Passes signals on until the command ends. A client that goes away takes its command with it. */
static int attend(int connection, pid_t pid) {
	sigset_t none;
	sigemptyset(&none);
	for (int status;;) {
		if (waitpid(pid, &status, WNOHANG) == pid) return status;
		struct pollfd fd = {.fd = connection, .events = POLLIN};
		if (ppoll(&fd, 1, NULL, &none) <= 0) continue;
		unsigned char number;
		ssize_t n = recv(connection, &number, 1, 0);
		kill(-pid, n == 1 ? number : SIGHUP);
		if (n == 1) continue;
		waitpid(pid, &status, 0);
		return status;
	}
}

static void wake(int signal) { (void)signal; }

static void serve(int connection) {
	struct ucred asker = {0};
	unsigned char *frame = NULL;
	uint32_t length = 0;
	int fds[ELEVATE_FDS] = {-1, -1, -1}, answer = EPERM + 65536;
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = wake}, NULL);
	if (!receive_frame(connection, &frame, &length, &asker, fds)) return;
	if (is_sudoer(asker.uid)) {
		pid_t pid = start(&(struct reader){.at = frame, .end = frame + length}, fds);
		answer = errno + 65536;
		/* SIGCHLD arrives only inside ppoll, so none is missed between looking and waiting. */
		sigprocmask(SIG_BLOCK, &child, NULL);
		if (pid > 0) {
			for (int i = 0; i < ELEVATE_FDS; i++) close(fds[i]);
			answer = attend(connection, pid);
		}
	}
	if (send(connection, &answer, sizeof answer, MSG_NOSIGNAL) < 0) return;
}

void elevate(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = ELEVATE_SOCKET};
	sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
	signal(SIGCHLD, SIG_IGN);
	mkdir("/run/dormice", 0755);
	unlink(ELEVATE_SOCKET);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Set before anybody can connect: connections inherit it, and what is sent without it names no sender. */
	bool named = listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) == 0;
	if (!named || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) {
		perror(ELEVATE_SOCKET);
		return;
	}
	chmod(ELEVATE_SOCKET, 0666);
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (connection < 0) continue;
		if (fork() == 0) {
			close(listener);
			serve(connection);
			_exit(0);
		}
		close(connection);
	}
}
