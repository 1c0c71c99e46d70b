/*
 * Runs commands as root for those who may: gVisor honours no set-uid bit, so `sudo` asks this process instead, which
 * has been root since the sandbox started. Who asks is told by the kernel (SO_PEERCRED): root, and the members of the
 * group `sudo`. The sandbox is the wall; this only keeps its users apart as any Linux does.
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

/* The name of the user, from the first and third field of /etc/passwd. */
static bool user_name(uid_t uid, char *name, size_t size) {
	char line[1024];
	FILE *file = fopen("/etc/passwd", "re");
	bool found = false;
	while (file && !found && fgets(line, sizeof line, file)) {
		char *rest = line, *user = strsep(&rest, ":"), *id = (strsep(&rest, ":"), strsep(&rest, ":"));
		if (!id || (uid_t)strtoul(id, NULL, 10) != uid || strlen(user) >= size) continue;
		strcpy(name, user);
		found = true;
	}
	if (file) fclose(file);
	return found;
}

static bool is_sudoer(uid_t uid) {
	char line[4096], name[64];
	if (uid == 0) return true;
	if (!user_name(uid, name, sizeof name)) return false;
	FILE *file = fopen("/etc/group", "re");
	bool member = false;
	while (file && !member && fgets(line, sizeof line, file)) {
		if (strncmp(line, "sudo:", 5) != 0) continue;
		char *members = strrchr(line, ':') + 1;
		members[strcspn(members, "\n")] = 0;
		for (char *one; (one = strsep(&members, ","));) member = member || strcmp(one, name) == 0;
	}
	if (file) fclose(file);
	return member;
}

/* The first frame, and the descriptors that came with its first byte. */
static bool receive(int connection, unsigned char **frame, uint32_t *length, int fds[ELEVATE_FDS]) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * ELEVATE_FDS)];
	} control;
	struct iovec part = {.iov_base = length, .iov_len = 4};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	if (recvmsg(connection, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != 4) return false;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int) * ELEVATE_FDS)) return false;
	memcpy(fds, CMSG_DATA(header), sizeof(int) * ELEVATE_FDS);
	if (*length > MAX_FRAME || !(*frame = malloc(*length))) return false;
	return recv(connection, *frame, *length, MSG_WAITALL) == (ssize_t)*length;
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
	struct ucred peer;
	socklen_t size = sizeof peer;
	unsigned char *frame = NULL;
	uint32_t length = 0;
	int fds[ELEVATE_FDS], answer = EPERM + 65536;
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = wake}, NULL);
	if (!receive(connection, &frame, &length, fds)) return;
	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && is_sudoer(peer.uid)) {
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
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) {
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
