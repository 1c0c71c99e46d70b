#define _GNU_SOURCE
#include "process.h"
#include "pty.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/*
 * One line of the table, there until the supervisor releases it. `held` are pairs of pipe ends, for stdin, stdout and
 * stderr: the program's until the supervisor has opened its own, the supervisor's for the next one, should it die.
 */
struct process {
	pid_t pid, relay;
	bool exited;
	int status;
	int terminal;
	int held[6];
	char *note;
	uint32_t note_length;
};

/* Which of the pairs' ends are the supervisor's, and which the program's. */
static const int OURS[3] = {1, 2, 4}, ITS[3] = {0, 3, 5};

static int null_fd = -1;
static struct process *table;
static size_t count, size;

/* The last one of this pid: a number may be given again while what one left behind still writes. */
static struct process *find(pid_t pid) {
	for (size_t i = count; i-- > 0;)
		if (table[i].pid == pid) return &table[i];
	return NULL;
}

static void close_one(int *fd) {
	if (*fd >= 0) close(*fd);
	*fd = -1;
}

static void close_all(int *fds, size_t n) {
	for (size_t i = 0; i < n; i++) close_one(&fds[i]);
}

void prepare_spawning(void) {
	for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
	umask(022);
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* What the child needs to know, parsed beforehand: the child allocates nothing. */
struct order {
	uint32_t flags, uid, gid, columns, rows;
	const char *cwd, *file, **argv, **environment;
	gid_t *groups;
	uint32_t group_count;
	/* The supervisor's own, for the next one. Points into the frame. */
	const char *note;
	uint32_t note_length;
};

static struct order take_order(struct reader *r) {
	struct order o = {.flags = take_u32(r), .uid = take_u32(r), .gid = take_u32(r)};
	o.columns = take_u32(r);
	o.rows = take_u32(r);
	o.cwd = take_string(r);
	o.file = take_string(r);
	o.argv = take_list(r);
	o.environment = take_list(r);
	o.group_count = take_u32(r);
	if (o.group_count > 65536) r->bad = true;
	o.groups = calloc((r->bad ? 0 : o.group_count) + 1, sizeof *o.groups);
	if (!o.groups) abort();
	for (uint32_t i = 0; !r->bad && i < o.group_count; i++) o.groups[i] = take_u32(r);
	o.note = take_string(r);
	o.note_length = (uint32_t)strlen(o.note);
	return o;
}

static void drop_order(struct order *o) {
	free(o->argv);
	free(o->environment);
	free(o->groups);
}

struct outcome {
	int error;
	enum stage stage;
};

/*
 * In the child, which shares our memory until it execs: it changes nothing of ours but `out`, and system calls are
 * what it costs, so whatever a child may inherit (umask, /dev/null, ignored signals) is arranged once, in prepare_spawning.
 * `terminal` is a PTY's master, or -1 for `fds`. Returns only on failure.
 */
static void become(const struct order *o, const int fds[3], int terminal, struct outcome *out) {
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	out->stage = STAGE_SETUP;
	if (terminal >= 0) {
		if (take_terminal(terminal) < 0) goto failed;
	} else if (dup2(fds[0] >= 0 ? fds[0] : null_fd, 0) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[2], 2) < 0) {
		goto failed;
	}
	out->stage = STAGE_IDENTITY;
	/* The system calls themselves: the C library's own would also tell its threads, in memory that is not ours. */
	if (syscall(SYS_setgroups, (size_t)o->group_count, o->groups) < 0) goto failed;
	if (syscall(SYS_setgid, o->gid) < 0 || syscall(SYS_setuid, o->uid) < 0) goto failed;
	out->stage = STAGE_CWD;
	if (chdir(o->cwd) < 0) goto failed;
	out->stage = STAGE_EXEC;
	execvpe(o->file, (char *const *)o->argv, (char *const *)o->environment);
failed:
	out->error = errno;
}

/* Returns when the child has become the program, or has said in `out` why not. */
static __attribute__((noinline)) pid_t launch(const struct order *o, const int fds[3], int terminal, struct outcome *out) {
	/* execvpe looks along the PATH of `environ`: a bare name is found where the program itself would look. */
	char **own = environ;
	environ = (char **)o->environment;
	*out = (struct outcome){0};
	/* vfork, because a copy of even our little memory takes gVisor 7 ms. */
	pid_t pid = vfork();
	if (pid == 0) {
		become(o, fds, terminal, out);
		_exit(127);
	}
	environ = own;
	if (pid < 0) *out = (struct outcome){.error = errno, .stage = STAGE_SETUP};
	return pid;
}

static struct process *add(void) {
	if (count == size) {
		size = size ? size * 2 : 16;
		table = realloc(table, size * sizeof *table);
		if (!table) abort();
	}
	struct process *p = &table[count];
	*p = (struct process){.terminal = -1, .held = {-1, -1, -1, -1, -1, -1}, .note = NULL};
	return p;
}

/* Fills in the ends: `p->held` pairs for stdin, stdout, stderr. A PTY has a relay on the far side of the first two. */
static int prepare(struct process *p, const struct order *o) {
	bool pty = o->flags & FLAG_PTY;
	/* A pipe belongs to who made it, and the program must be able to open its own /dev/stderr. */
	if (!pty && syscall(SYS_setresuid, -1, o->uid, -1) < 0) return -1;
	bool failed = ((pty || o->flags & FLAG_STDIN) && pipe2(p->held, O_CLOEXEC) < 0) || pipe2(p->held + 2, O_CLOEXEC) < 0 ||
	              (!pty && pipe2(p->held + 4, O_CLOEXEC) < 0);
	int error = errno;
	if (!pty && syscall(SYS_setresuid, -1, 0, -1) < 0) abort();
	errno = error;
	if (failed || !pty) return failed ? -1 : 0;
	p->terminal = open_terminal(o->columns, o->rows);
	return p->terminal;
}

static void put_ours(struct writer *w, const struct process *p) {
	for (int i = 0; i < 3; i++) put_u32(w, p->held[OURS[i]] >= 0 ? (uint32_t)p->held[OURS[i]] : NO_FD);
}

void spawn(struct reader *r, struct writer *w, uint32_t id) {
	struct order o = take_order(r);
	struct outcome out = {.error = EINVAL, .stage = STAGE_SETUP};
	struct process *p = add();
	if (!r->bad && prepare(p, &o) < 0) {
		out.error = errno;
	} else if (!r->bad) {
		p->pid = launch(&o, (int[]){p->held[0], p->held[3], p->held[5]}, p->terminal, &out);
		if (out.error == 0 && p->terminal >= 0) p->relay = start_relay(p->terminal, p->held[0], p->held[3]);
	}
	put_u32(w, id);
	put_u32(w, (uint32_t)out.error);
	if (out.error == 0) {
		count++;
		p->note = malloc(o.note_length + 1);
		if (!p->note) abort();
		memcpy(p->note, o.note, o.note_length + 1);
		p->note_length = o.note_length;
		put_u32(w, (uint32_t)p->pid);
		put_ours(w, p);
	} else {
		put_u32(w, out.stage);
		close_all(p->held, 6);
		close_all(&p->terminal, 1);
	}
	drop_order(&o);
}

static void close_its(struct process *p) {
	for (int i = 0; i < 3; i++) close_one(&p->held[ITS[i]]);
}

int opened(pid_t pid) {
	struct process *p = find(pid);
	if (!p) return ESRCH;
	close_its(p);
	return 0;
}

int close_stdin(pid_t pid) {
	struct process *p = find(pid);
	if (!p) return ESRCH;
	close_one(&p->held[OURS[0]]);
	return 0;
}

/* The first one of this pid that has ended. */
static struct process *find_ended(pid_t pid) {
	for (size_t i = 0; i < count; i++)
		if (table[i].pid == pid && table[i].exited) return &table[i];
	return NULL;
}

int renounce(pid_t pid) {
	struct process *p = find_ended(pid);
	if (!p) return ESRCH;
	*p->note = '\0';
	p->note_length = 0;
	return 0;
}

int release(pid_t pid) {
	struct process *p = find_ended(pid);
	if (!p) return ESRCH;
	close_all(p->held, 6);
	free(p->note);
	count--;
	memmove(p, p + 1, (size_t)(table + count - p) * sizeof *p);
	return 0;
}

/* How much of what it wrote waits to be read. A terminal's relay may hold more. */
static void put_unread(struct writer *w, const struct process *p) {
	for (int i = 1; i < 3; i++) {
		int unread = 0, fd = p->held[OURS[i]];
		bool known = p->held[OURS[2]] >= 0 && ioctl(fd, FIONREAD, &unread) == 0;
		put_u32(w, known ? (uint32_t)unread : UNKNOWN);
	}
}

void list_processes(struct writer *w, uint32_t id) {
	put_u32(w, id);
	put_u32(w, 0);
	for (size_t i = 0; i < count; i++) {
		struct process *p = &table[i];
		/* The one before died before it could say so. */
		close_its(p);
		put_u32(w, (uint32_t)p->pid);
		put_u32(w, p->exited);
		put_u32(w, (uint32_t)p->status);
		put_unread(w, p);
		put_ours(w, p);
		put_string(w, p->note, p->note_length);
	}
}

int signal_group(pid_t pid, int signal) {
	/* Only what the table names: a pid that was reaped may by now be somebody else's. */
	struct process *p = find(pid);
	if (!p || p->exited) return ESRCH;
	/* A shell gives each thing it runs a process group of its own. */
	if (p->terminal >= 0 && signal == SIGKILL) end_session(p->terminal, pid);
	return kill(-pid, signal) < 0 ? errno : 0;
}

int resize(pid_t pid, unsigned columns, unsigned rows) {
	struct process *p = find(pid);
	if (!p) return ESRCH;
	if (p->terminal < 0) return ENOTTY;
	int error = resize_terminal(p->terminal, columns, rows);
	/* To be told twice costs a program one more redraw. */
	if (error == 0) tell_resized(pid);
	return error;
}

void put_end(struct writer *w, pid_t pid, int status) {
	put_u32(w, 0);
	put_u32(w, EVENT_EXITED);
	put_u32(w, (uint32_t)pid);
	put_u32(w, (uint32_t)status);
	put_unread(w, find(pid));
}

bool note_end(pid_t pid, int status) {
	for (size_t i = 0; i < count; i++) {
		struct process *p = &table[i];
		bool itself = p->pid == pid && !p->exited;
		if (!itself && p->relay != pid) continue;
		/* A terminal without its program, or without its relay, has nobody to talk to: hang up. */
		close_one(&p->terminal);
		if (!itself) {
			p->relay = 0;
			return false;
		}
		p->exited = true;
		p->status = status;
		return true;
	}
	return false;
}
