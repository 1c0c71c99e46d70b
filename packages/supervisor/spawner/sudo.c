/*
 * `sudo` for sandboxes whose kernel honours no set-uid bit: asks elevate.c to run the command as root. Where the kernel
 * does, the distribution's own, moved aside as sudo.distrib, is run instead.
 */
#define _GNU_SOURCE
#include "elevate.h"
#include "wire.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISTRIBUTIONS "/usr/bin/sudo.distrib"
#define SECURE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

static const char USAGE[] = "usage: sudo [-EHin sS] [-u user] [-g group] [VAR=value ...] [command [argument ...]]\n";

static struct {
	const char *user, *group;
	bool login, shell, keep, background;
} wish = {.user = "root"};

/* Variables that pass from the caller; with -E all do. */
static const char *const kept[] = {"TERM", "LANG", "LC_ALL", "LANGUAGE", "COLORTERM", "DISPLAY", "TZ", "COLUMNS", "LINES", NULL};

/* Variables that we set. */
static const char *const ours[] = {"PATH=", "HOME=", "SHELL=", "USER=", "LOGNAME=", "SUDO_", NULL};

struct list {
	const char **items;
	uint32_t count;
};

static void append(struct list *list, const char *item) {
	list->items = realloc(list->items, (list->count + 2) * sizeof *list->items);
	if (!list->items) abort();
	list->items[list->count++] = item;
	list->items[list->count] = NULL;
}

static const char *format(const char *pattern, const char *value) {
	char *text;
	if (asprintf(&text, pattern, value) < 0) abort();
	return text;
}

/* Field `n` of the user's line in /etc/passwd, or NULL. */
static const char *passwd_field(const char *key, int key_field, int n) {
	static char line[1024];
	FILE *file = fopen("/etc/passwd", "re");
	char *found = NULL;
	while (file && !found && fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = 0;
		char *fields[7] = {0}, *rest = line;
		for (int i = 0; i < 7; i++) fields[i] = strsep(&rest, ":");
		if (fields[key_field] && strcmp(fields[key_field], key) == 0) found = fields[n];
	}
	if (file) fclose(file);
	return found ? strdup(found) : NULL;
}

static const char *number(unsigned long value) {
	char *text;
	if (asprintf(&text, "%lu", value) < 0) abort();
	return text;
}

static struct list environment(const char *home, const char *shell, const char *command) {
	struct list list = {0};
	for (char **e = environ; *e; e++) {
		bool keep = wish.keep;
		for (int i = 0; ours[i]; i++) keep = keep && strncmp(*e, ours[i], strlen(ours[i])) != 0;
		for (int i = 0; kept[i]; i++) {
			size_t length = strlen(kept[i]);
			if (strncmp(*e, kept[i], length) == 0 && (*e)[length] == '=') keep = true;
		}
		if (keep) append(&list, *e);
	}
	const char *caller = passwd_field(number(getuid()), 2, 0);
	append(&list, SECURE_PATH);
	append(&list, format("HOME=%s", home));
	append(&list, format("SHELL=%s", shell));
	append(&list, format("USER=%s", wish.user));
	append(&list, format("LOGNAME=%s", wish.user));
	append(&list, format("SUDO_USER=%s", caller ? caller : "root"));
	append(&list, format("SUDO_UID=%s", number(getuid())));
	append(&list, format("SUDO_GID=%s", number(getgid())));
	append(&list, format("SUDO_COMMAND=%s", command));
	return list;
}

/* What to run as root: the command itself, or `setpriv` in front of it to be somebody else. */
static struct list command_line(const char *uid, const char *gid, const char *shell, char **words) {
	struct list list = {0};
	if (strcmp(uid, "0") != 0 || wish.group) {
		append(&list, "setpriv");
		append(&list, format("--reuid=%s", uid));
		append(&list, format("--regid=%s", wish.group ? wish.group : gid));
		append(&list, "--init-groups");
		append(&list, "--");
	}
	if (wish.login || wish.shell) {
		append(&list, shell);
		if (wish.login) append(&list, "-l");
		if (*words) append(&list, "-c");
	}
	if ((wish.login || wish.shell) && *words) {
		/* A shell's -c takes one string: every word is quoted into it. */
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		for (; *words; words++) {
			fputc('\'', out);
			for (char *c = *words; *c; c++) *c == '\'' ? fputs("'\\''", out) : fputc(*c, out);
			fputs("' ", out);
		}
		fclose(out);
		append(&list, text);
	}
	for (; *words; words++) append(&list, *words);
	return list;
}

static void put_list(struct writer *w, const struct list *list) {
	put_u32(w, list->count);
	for (uint32_t i = 0; i < list->count; i++) put_string(w, list->items[i], strlen(list->items[i]));
}

/* The frame's first byte carries our descriptors. */
static bool ask(int connection, const char *cwd, const struct list *argv, const struct list *env) {
	struct writer w = {0};
	mode_t mask = umask(0);
	umask(mask);
	put_u32(&w, mask);
	put_string(&w, cwd, strlen(cwd));
	put_string(&w, argv->items[0], strlen(argv->items[0]));
	put_list(&w, argv);
	put_list(&w, env);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * ELEVATE_FDS)];
	} control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * ELEVATE_FDS)}};
	memcpy(CMSG_DATA(&control.header), (int[]){0, 1, 2}, sizeof(int) * ELEVATE_FDS);
	uint32_t length = (uint32_t)w.used - 4;
	struct iovec part = {.iov_base = &length, .iov_len = 4};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	if (sendmsg(connection, &message, MSG_NOSIGNAL) != 4) return false;
	for (size_t sent = 4; sent < w.used;) {
		ssize_t n = send(connection, w.bytes + sent, w.used - sent, MSG_NOSIGNAL);
		if (n < 0) return false;
		sent += (size_t)n;
	}
	return true;
}

static int elevator = -1;

static void pass_on(int signal) {
	unsigned char number = (unsigned char)signal;
	int saved = errno;
	if (send(elevator, &number, 1, MSG_NOSIGNAL) < 0) errno = saved;
}

static int wait_for(const char *what) {
	int answer;
	for (;;) {
		ssize_t n = recv(elevator, &answer, sizeof answer, MSG_WAITALL);
		if (n == sizeof answer) break;
		if (n < 0 && errno == EINTR) continue;
		fputs("sudo: the sandbox's supervisor went away\n", stderr);
		return 1;
	}
	if (answer >= 65536) {
		bool refused = answer - 65536 == EPERM;
		fprintf(stderr, refused ? "sudo: you are not in the group sudo\n" : "sudo: %s: %s\n", what, strerror(answer - 65536));
		return answer - 65536 == ENOENT ? 127 : 1;
	}
	if (WIFSIGNALED(answer)) {
		/* As if it had been us. */
		signal(WTERMSIG(answer), SIG_DFL);
		raise(WTERMSIG(answer));
	}
	return WIFEXITED(answer) ? WEXITSTATUS(answer) : 128 + WTERMSIG(answer);
}

static int options(int argc, char **argv) {
	static const struct option names[] = {{"user", 1, 0, 'u'},           {"group", 1, 0, 'g'},   {"login", 0, 0, 'i'},
	                                      {"shell", 0, 0, 's'},          {"stdin", 0, 0, 'S'},   {"set-home", 0, 0, 'H'},
	                                      {"non-interactive", 0, 0, 'n'}, {"preserve-env", 2, 0, 'E'}, {0}};
	for (int c; (c = getopt_long(argc, argv, "+EHiknsSvAbu:g:p:C:", names, NULL)) != -1;) {
		switch (c) {
		case 'u': wish.user = optarg; break;
		case 'g': wish.group = optarg; break;
		case 'i': wish.login = true; break;
		case 's': wish.shell = true; break;
		case 'E': wish.keep = true; break;
		case 'b': wish.background = true; break;
		/* There is no password to ask for, and none to forget. */
		case 'k': case 'v': case 'H': case 'n': case 'S': case 'A': case 'p': case 'C': break;
		default: return -1;
		}
	}
	return optind;
}

static bool is_assignment(const char *word) {
	size_t name = strcspn(word, "=/");
	return name > 0 && word[name] == '=';
}

int sudo(int argc, char **argv) {
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = ELEVATE_SOCKET};
	elevator = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(elevator, (struct sockaddr *)&address, sizeof address) < 0) {
		execv(DISTRIBUTIONS, argv);
		perror("sudo: " DISTRIBUTIONS);
		return 1;
	}
	bool validates = argc == 2 && (!strcmp(argv[1], "-v") || !strcmp(argv[1], "-k") || !strcmp(argv[1], "-nv"));
	int at = options(argc, argv);
	struct list assigned = {0};
	while (at >= 0 && at < argc && is_assignment(argv[at])) append(&assigned, argv[at++]);
	if (validates) return 0;
	if (at < 0 || (at == argc && !wish.login && !wish.shell)) {
		fputs(USAGE, stderr);
		return 1;
	}
	bool numeric = wish.user[0] == '#';
	const char *name = numeric ? passwd_field(wish.user + 1, 2, 0) : wish.user;
	const char *uid = numeric ? wish.user + 1 : passwd_field(wish.user, 0, 2);
	if (!uid) {
		fprintf(stderr, "sudo: unknown user %s\n", wish.user);
		return 1;
	}
	wish.user = name ? name : uid;
	const char *gid = passwd_field(uid, 2, 3), *home = passwd_field(uid, 2, 5), *shell = passwd_field(uid, 2, 6);
	struct list words = command_line(uid, gid ? gid : uid, shell ? shell : "/bin/sh", argv + at);
	struct list env = environment(home ? home : "/", shell ? shell : "/bin/sh", words.items[words.count - 1]);
	for (uint32_t i = 0; i < assigned.count; i++) append(&env, assigned.items[i]);
	char *cwd = wish.login && home ? strdup(home) : getcwd(NULL, 0);
	static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) sigaction(passed[i], &(struct sigaction){.sa_handler = pass_on}, NULL);
	if (!ask(elevator, cwd ? cwd : "/", &words, &env)) {
		perror("sudo");
		return 1;
	}
	return wish.background ? 0 : wait_for(words.items[0]);
}
