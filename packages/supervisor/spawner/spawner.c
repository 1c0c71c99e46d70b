/*
 * The spawner: a few system calls that the supervisor needs and Node does not have, in one small static program.
 * It runs under the sandbox's init, starts the supervisor, starts it again when it dies, and forks everything the
 * supervisor asks for: forking from Node is slow, and Node's stdio would be sockets. See wire.h for the conversation.
 *
 *   spawner                       the supervisor is the bundle in the directory of MOUNT
 *   spawner COMMAND [ARGUMENT…]   the supervisor is this command
 *   sudo …                        called by this name: see sudo.c
 *   reboot, poweroff, halt        called by these names: see restart.c
 *   spawner watch PATH [-r]       prints inotify's events: see watch.c
 *
 * When the supervisor dies, what it started lives on. Its ends of the pipes stay open here, so that output waits in them,
 * and the next supervisor is told of each process that the one before did not release.
 */
#define _GNU_SOURCE
#include "attributes.h"
#include "elevate.h"
#include "process.h"
#include "procfs.h"
#include "randomness.h"
#include "restart.h"
#include "watch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOUNT "/.dormice"
enum { FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 5000, HEALTHY_AFTER_MS = 10000, SYNCS = 16 };

/* What is resident is also what every stored state carries: the young generation is kept small, and the supervisor may
   collect its garbage when traffic has ended. */
static const char *bundle[] = {
    MOUNT "/lib/ld-linux-x86-64.so.2", "--library-path", MOUNT "/lib", MOUNT "/node",
    "--max-old-space-size=512", "--max-semi-space-size=2", "--expose-gc", "--v8-pool-size=1", "--disable-sigusr1", MOUNT "/supervisor.mjs", NULL};

static struct {
	const char **command;
	pid_t pid;
	int socket;
	int64_t started_ms;
	int pause_ms;
} supervisor = {.command = bundle, .socket = -1, .pause_ms = FIRST_PAUSE_MS};

static struct {
	pid_t pid;
	uint32_t id;
} syncs[SYNCS];

/* Its own process, so that nothing a user sends it can hold up the spawner. */
static void start_elevator(void) {
	if (getuid() != 0 || !needs_elevating() || fork() != 0) return;
	elevate();
	_exit(1);
}

static int64_t now_ms(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Who goes first when memory runs out. Without /proc all are alike. */
static void be_victim(const char *score) {
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0) return;
	if (write(fd, score, strlen(score)) < 0) errno = 0;
	close(fd);
}

/* Freed buffers go back to the kernel at once, however many there were. */
static void return_memory(void) {
	setenv("MALLOC_MMAP_THRESHOLD_", "131072", 1);
	setenv("MALLOC_TRIM_THRESHOLD_", "131072", 1);
	setenv("MALLOC_ARENA_MAX", "2", 1);
}

static void start_supervisor(void) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return;
	supervisor.started_ms = now_ms();
	supervisor.pid = fork();
	if (supervisor.pid == 0) {
		be_victim("0");
		return_memory();
		sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
		if (pair[1] == SUPERVISOR_FD) fcntl(SUPERVISOR_FD, F_SETFD, 0);
		else dup2(pair[1], SUPERVISOR_FD);
		execvp(supervisor.command[0], (char *const *)supervisor.command);
		perror(supervisor.command[0]);
		_exit(127);
	}
	close(pair[1]);
	supervisor.socket = pair[0];
}

/* Returns how long to wait before the next start. */
static int lose_supervisor(int status) {
	supervisor.pid = 0;
	if (supervisor.socket >= 0) close(supervisor.socket);
	supervisor.socket = -1;
	if (now_ms() - supervisor.started_ms > HEALTHY_AFTER_MS) supervisor.pause_ms = FIRST_PAUSE_MS;
	int pause = supervisor.pause_ms;
	supervisor.pause_ms = pause * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause * 2;
	fprintf(stderr, "{\"level\":\"error\",\"message\":\"supervisor ended\",\"fields\":{\"status\":%d,\"restartInMs\":%d}}\n",
	        status, pause);
	return pause;
}

/* sync(2) may take seconds; a child waits for it. */
static int begin_sync(uint32_t id) {
	for (int i = 0; i < SYNCS; i++) {
		if (syncs[i].pid != 0) continue;
		syncs[i].pid = fork();
		if (syncs[i].pid == 0) {
			/* Or a program would wait as long for the end of its input. */
			syscall(SYS_close_range, SUPERVISOR_FD, ~0U, 0);
			sync();
			_exit(0);
		}
		if (syncs[i].pid > 0) {
			syncs[i].id = id;
			return 0;
		}
		syncs[i].pid = 0;
		return errno;
	}
	return EAGAIN;
}

static int set_clock(uint32_t seconds, uint32_t nanoseconds) {
	struct timespec t = {.tv_sec = seconds, .tv_nsec = nanoseconds};
	return clock_settime(CLOCK_REALTIME, &t) < 0 ? errno : 0;
}

static void answer(struct writer *w, uint32_t id, int error) {
	put_u32(w, id);
	put_u32(w, (uint32_t)error);
	send_frame(w, supervisor.socket);
}

static void handle(struct reader *r) {
	static struct writer w, results;
	uint32_t id = take_u32(r), a, b;
	const char *name;
	int error = 0;
	switch (take_u32(r)) {
	case SPAWN:
		spawn(r, &w, id);
		send_frame(&w, supervisor.socket);
		return;
	case GET_XATTRS:
		/* The answer begins with its errno, known only at the end. */
		results.used = 0;
		error = get_attributes(r, &results);
		put_u32(&w, id);
		put_u32(&w, (uint32_t)error);
		if (error == 0 && results.used > 0) put_bytes(&w, results.bytes + 4, results.used - 4);
		send_frame(&w, supervisor.socket);
		return;
	case SYNC:
		error = begin_sync(id);
		if (error == 0) return;
		break;
	case OPENED:
		error = opened((pid_t)take_u32(r));
		break;
	case CLOSE_STDIN:
		error = close_stdin((pid_t)take_u32(r));
		break;
	case RENOUNCE:
		error = renounce((pid_t)take_u32(r));
		break;
	case RELEASE:
		error = release((pid_t)take_u32(r));
		break;
	case LIST:
		list_processes(&w, id);
		send_frame(&w, supervisor.socket);
		return;
	case SIGNAL:
		a = take_u32(r);
		error = signal_group((pid_t)a, (int)take_u32(r));
		break;
	case RESIZE:
		a = take_u32(r);
		b = take_u32(r);
		error = resize((pid_t)a, b, take_u32(r));
		break;
	case HOSTNAME:
		name = take_string(r);
		error = sethostname(name, strlen(name)) < 0 ? errno : 0;
		break;
	case CLOCK:
		a = take_u32(r);
		error = set_clock(a, take_u32(r));
		break;
	case SET_XATTR:
		error = set_attribute(r);
		break;
	case REMOVE_XATTRS:
		error = remove_attributes(r);
		break;
	case COPY_XATTRS:
		error = copy_attributes(r);
		break;
	case RESEED:
		error = reseed(r);
		break;
	default:
		error = ENOSYS;
	}
	answer(&w, id, error);
}

/* Reads what is there and handles every whole frame of it. False when the supervisor has closed its end. */
static bool listen_once(void) {
	static unsigned char *buffer;
	static size_t used, size;
	static pid_t speaker;
	if (speaker != supervisor.pid) used = 0;
	speaker = supervisor.pid;
	if (size - used < 65536) {
		size = used + 131072;
		buffer = realloc(buffer, size);
		if (!buffer) abort();
	}
	ssize_t n = recv(supervisor.socket, buffer + used, size - used, MSG_DONTWAIT);
	if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
	used += (size_t)n;
	size_t done = 0;
	for (uint32_t length; used - done >= 4; done += 4 + length) {
		memcpy(&length, buffer + done, 4);
		if (length > MAX_FRAME) return false;
		if (used - done - 4 < length) break;
		handle(&(struct reader){.at = buffer + done + 4, .end = buffer + done + 4 + length});
	}
	memmove(buffer, buffer + done, used - done);
	used -= done;
	return true;
}

/* Returns the pause before the supervisor's next start, or -1 while it runs. */
static int reap(int pause) {
	static struct writer w;
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid == supervisor.pid) {
			pause = lose_supervisor(status);
		} else if (note_end(pid, status) && supervisor.socket >= 0) {
			put_end(&w, pid, status);
			send_frame(&w, supervisor.socket);
		}
		for (int i = 0; i < SYNCS; i++) {
			if (syncs[i].pid != pid) continue;
			syncs[i].pid = 0;
			if (supervisor.socket >= 0) answer(&w, syncs[i].id, status ? EIO : 0);
		}
	}
	return pause;
}

static void wake(int signal) { (void)signal; }

int main(int argc, char **argv) {
	const char *called = strrchr(argv[0], '/');
	called = called ? called + 1 : argv[0];
	if (strcmp(called, "sudo") == 0) return sudo(argc, argv);
	if (!strcmp(called, "reboot") || !strcmp(called, "poweroff") || !strcmp(called, "halt")) return restart(called);
	if (argc >= 3 && strcmp(argv[1], "watch") == 0) return watch(argv[2], argc > 3);
	if (argc > 1) supervisor.command = (const char **)argv + 1;
	/* Whatever we were started with, children get none of it. */
	syscall(SYS_close_range, SUPERVISOR_FD, ~0U, 0);
	forget_processes();
	prepare_spawning();
	/* For all we start but the supervisor. We are too small ourselves to be worth killing. */
	be_victim("100");
	start_elevator();
	sigset_t child, none;
	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	/* SIGCHLD arrives only inside ppoll, so none is missed between looking and waiting. */
	sigprocmask(SIG_BLOCK, &child, NULL);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = wake}, NULL);
	start_supervisor();
	for (int pause = supervisor.pid > 0 ? -1 : FIRST_PAUSE_MS;;) {
		struct pollfd fd = {.fd = supervisor.socket, .events = POLLIN};
		struct timespec limit = {.tv_sec = pause / 1000, .tv_nsec = pause % 1000 * 1000000L};
		int ready = ppoll(&fd, 1, pause >= 0 ? &limit : NULL, &none);
		if (ready > 0 && !listen_once()) {
			close(supervisor.socket);
			supervisor.socket = -1;
		}
		if (ready == 0 && pause >= 0) {
			start_supervisor();
			pause = supervisor.pid > 0 ? -1 : LONGEST_PAUSE_MS;
		}
		pause = reap(pause);
	}
}
