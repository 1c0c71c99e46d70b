#define _GNU_SOURCE
#include "process.h"
#include "pty.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* One line of the table. `held` are our copies of the pipe ends until the supervisor has opened its own. */
struct process {
	pid_t pid, relay;
	bool exited;
	int terminal;
	int held[6];
};

static int null_fd = -1;
static struct process *table;
static size_t count, size;

static struct process *find(pid_t pid) {
	for (size_t i = 0; i < count; i++)
		if (table[i].pid == pid) return &table[i];
	return NULL;
}

static void close_all(int *fds, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0) close(fds[i]);
		fds[i] = -1;
	}
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
	*p = (struct process){.terminal = -1, .held = {-1, -1, -1, -1, -1, -1}};
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
		put_u32(w, (uint32_t)p->pid);
		for (int i = 0; i < 3; i++) {
			int fd = p->held[(int[]){1, 2, 4}[i]];
			put_u32(w, fd >= 0 ? (uint32_t)fd : NO_FD);
		}
	} else {
		put_u32(w, out.stage);
		close_all(p->held, 6);
		close_all(&p->terminal, 1);
	}
	drop_order(&o);
}

/* A line stays until both have happened: the process has ended, and the supervisor has opened its pipes. */
static void drop_if_done(struct process *p) {
	if (p->exited && p->held[2] < 0) *p = table[--count];
}

int opened(pid_t pid) {
	struct process *p = find(pid);
	if (!p) return ESRCH;
	close_all(p->held, 6);
	drop_if_done(p);
	return 0;
}

int signal_group(pid_t pid, int signal) {
	/* Only what the table names: a pid that was reaped may by now be somebody else's. */
	struct process *p = find(pid);
	if (!p || p->exited) return ESRCH;
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

bool forget(pid_t pid) {
	for (size_t i = 0; i < count; i++) {
		struct process *p = &table[i];
		bool itself = p->pid == pid && !p->exited;
		if (!itself && p->relay != pid) continue;
		/* A terminal without its program, or without its relay, has nobody to talk to: hang up. */
		close_all(&p->terminal, 1);
		if (itself) {
			p->exited = true;
			drop_if_done(p);
		}
		return itself;
	}
	return false;
}

void close_held(void) {
	for (size_t i = count; i-- > 0;) {
		close_all(table[i].held, 6);
		drop_if_done(&table[i]);
	}
}
