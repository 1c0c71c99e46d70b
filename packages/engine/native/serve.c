// Verbs over a pipe. A request is a frame: its length in bytes, its number, then the verb's arguments, each ended by a
// zero byte. An answer: its length, the request's number, the verb's exit code, then what it printed. Numbers and lengths
// are 32 bits, little-endian. Each verb is a process of its own, so that a slow one holds up nobody.
#define _GNU_SOURCE
#include "host.h"
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_RUNNING 128
#define MAX_REQUEST 65536
#define MAX_ANSWER 65536
#define MAX_ARGUMENTS 256
// No verb takes this long; one that hangs is ended and reported.
#define DEADLINE_S 120

struct running {
	pid_t pid; // 0: a free place
	uint32_t number;
	int output;
	uint32_t length;
	char text[MAX_ANSWER];
};
static struct running places[MAX_RUNNING];

static int read_whole(void *to, size_t length) {
	for (size_t at = 0; at < length;) {
		ssize_t got = read(0, (char *)to + at, length - at);
		if (got < 0 && errno == EINTR) continue;
		if (got <= 0) return 0;
		at += (size_t)got;
	}
	return 1;
}

static void write_whole(const void *from, size_t length) {
	for (size_t at = 0; at < length;) {
		ssize_t put = write(1, (const char *)from + at, length - at);
		if (put < 0 && errno == EINTR) continue;
		if (put < 0) exit(1); // The engine is gone.
		at += (size_t)put;
	}
}

static void answer(uint32_t number, uint32_t code, const char *text, uint32_t length) {
	uint32_t head[3] = {length + 8, number, code};
	write_whole(head, sizeof head);
	write_whole(text, length);
}

static void begin(struct running *place, uint32_t number, char *frame, size_t length) {
	char *argv[MAX_ARGUMENTS + 1];
	int argc = 0, ends[2];
	for (char *at = frame; at < frame + length && argc < MAX_ARGUMENTS; at += strlen(at) + 1) argv[argc++] = at;
	argv[argc] = NULL;
	if (pipe2(ends, O_CLOEXEC) < 0) fail("pipe", "");
	pid_t pid = fork();
	if (pid < 0) fail("fork", "");
	if (pid == 0) {
		int nothing = open("/dev/null", O_RDONLY);
		dup2(nothing, 0);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		// A verb that becomes a program with its output elsewhere has not ended by that.
		fcntl(ends[1], F_SETFD, 0);
		alarm(DEADLINE_S);
		int code = run_verb(argc, argv);
		fflush(NULL);
		_exit(code);
	}
	close(ends[1]);
	place->pid = pid;
	place->number = number;
	place->output = ends[0];
	place->length = 0;
}

// Takes what the verb printed; when it ended, reports it and frees its place.
static void take(struct running *place) {
	char rest[4096];
	size_t room = sizeof place->text - place->length;
	ssize_t got = room > 0 ? read(place->output, place->text + place->length, room) : read(place->output, rest, sizeof rest);
	if (got < 0 && errno == EINTR) return;
	if (got > 0) {
		if (room > 0) place->length += (uint32_t)got;
		return;
	}
	int status = 0;
	while (waitpid(place->pid, &status, 0) < 0 && errno == EINTR) {}
	close(place->output);
	place->pid = 0;
	answer(place->number, WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 128 + (uint32_t)WTERMSIG(status), place->text, place->length);
}

int serve(void) {
	static char frame[MAX_REQUEST + 1];
	signal(SIGPIPE, SIG_IGN);
	for (int open = 1; open;) {
		struct pollfd polled[MAX_RUNNING + 1] = {{.fd = 0, .events = POLLIN}};
		struct running *of[MAX_RUNNING + 1] = {0}, *free_place = NULL;
		nfds_t count = 1;
		for (int i = 0; i < MAX_RUNNING; i++) {
			if (places[i].pid == 0) {
				free_place = &places[i];
				continue;
			}
			of[count] = &places[i];
			polled[count++] = (struct pollfd){.fd = places[i].output, .events = POLLIN};
		}
		if (!free_place) polled[0].fd = -1; // Until a place is free, requests wait in the pipe.
		if (poll(polled, count, -1) < 0) {
			if (errno == EINTR) continue;
			fail("poll", "");
		}
		for (nfds_t i = 1; i < count; i++)
			if (polled[i].revents) take(of[i]);
		if (!polled[0].revents) continue;
		uint32_t head[2];
		open = read_whole(head, sizeof head);
		if (!open) break;
		if (head[0] < 4 || head[0] - 4 > MAX_REQUEST) return 1;
		open = read_whole(frame, head[0] - 4);
		frame[head[0] - 4] = 0;
		if (open) begin(free_place, head[1], frame, head[0] - 4);
	}
	return 0;
}
