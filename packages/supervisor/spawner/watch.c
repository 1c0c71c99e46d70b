/*
 * `spawner watch`: inotify on a directory, and on all directories below it when asked. Node's fs.watch folds the
 * kernel's events into two kinds; clients are promised five.
 *
 * First one line: `ready`, or `error <errno>`. Then a record for each event:
 *   u32 mask, u32 cookie, u32 length, and the path relative to the watched directory ("" is the directory itself).
 * A directory that appears is watched at once; what it already holds by then is reported as created, once.
 */
#define _GNU_SOURCE
#include "watch.h"
#include <dirent.h>
#include <fcntl.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WATCHED = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF,
};

static int inotify;
static bool deep;
static const char *root;
/* By watch descriptor: the path relative to the root, NULL when gone. The kernel counts descriptors up from 1. */
static char **paths;
static int path_count;
/* What a scan announced and inotify may announce again. Forgotten whenever the queue runs empty. */
static char **announced;
static size_t announced_count;

static void *grow(void *p, size_t size) {
	p = realloc(p, size);
	if (!p) abort();
	return p;
}

static void report(uint32_t mask, uint32_t cookie, const char *path) {
	uint32_t head[3] = {mask, cookie, (uint32_t)strlen(path)};
	if (fwrite(head, sizeof head, 1, stdout) != 1 || fwrite(path, 1, head[2], stdout) != head[2]) exit(0);
}

static char *join(const char *directory, const char *name) {
	char *path = NULL;
	if (asprintf(&path, "%s%s%s", directory, *directory && *name ? "/" : "", name) < 0) abort();
	return path;
}

static bool below(const char *path, const char *directory) {
	size_t n = strlen(directory);
	return strncmp(path, directory, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool take_announced(const char *path) {
	for (size_t i = 0; i < announced_count; i++) {
		if (strcmp(announced[i], path) != 0) continue;
		free(announced[i]);
		announced[i] = announced[--announced_count];
		return true;
	}
	return false;
}

static void forget_announced(void) {
	while (announced_count > 0) free(announced[--announced_count]);
}

static int add(const char *relative, bool announce);

static void scan(const char *full, const char *relative, bool announce) {
	DIR *directory = opendir(full);
	if (!directory) return;
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		char *path = join(relative, entry->d_name);
		bool is_directory = entry->d_type == DT_DIR;
		if (entry->d_type == DT_UNKNOWN) {
			struct stat info;
			is_directory = fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
		}
		if (announce) {
			report(IN_CREATE | (is_directory ? IN_ISDIR : 0), 0, path);
			announced = grow(announced, (announced_count + 1) * sizeof *announced);
			announced[announced_count++] = strdup(path);
		}
		if (is_directory) add(path, announce);
		free(path);
	}
	closedir(directory);
}

/* Watches one directory and, when recursive, what is in it. 0 or an errno. */
static int add(const char *relative, bool announce) {
	char *full = join(root, relative);
	int wd = inotify_add_watch(inotify, full, WATCHED | IN_ONLYDIR | (*relative ? IN_DONT_FOLLOW : 0));
	int error = wd < 0 ? errno : 0;
	if (wd >= 0) {
		if (wd >= path_count) {
			paths = grow(paths, ((size_t)wd + 64) * sizeof *paths);
			while (path_count < wd + 64) paths[path_count++] = NULL;
		}
		free(paths[wd]);
		paths[wd] = strdup(relative);
		if (deep) scan(full, relative, announce);
	}
	free(full);
	return error;
}

static void drop_below(const char *relative) {
	for (int wd = 0; wd < path_count; wd++) {
		if (!paths[wd] || !below(paths[wd], relative)) continue;
		inotify_rm_watch(inotify, wd);
		free(paths[wd]);
		paths[wd] = NULL;
	}
}

/* A directory that was moved away, until the next event says where to: inotify queues the two halves together. */
static struct {
	uint32_t cookie;
	char *path;
} moved;

/* The kernel watches directories, not names: a renamed one goes on being watched, under its new name. */
static bool rename_below(const char *from, const char *to) {
	bool found = false;
	for (int wd = 0; wd < path_count; wd++) {
		if (!paths[wd] || !below(paths[wd], from)) continue;
		const char *rest = paths[wd] + strlen(from);
		char *renamed = *rest ? join(to, rest + 1) : strdup(to);
		free(paths[wd]);
		paths[wd] = renamed;
		found = true;
	}
	return found;
}

/* False when the directory has left the tree, or was never watched. */
static bool settle_move(const struct inotify_event *event, const char *path) {
	if (!moved.path) return false;
	bool arrived = event->mask & IN_MOVED_TO && event->cookie == moved.cookie;
	bool found = arrived && rename_below(moved.path, path);
	if (!arrived) drop_below(moved.path);
	free(moved.path);
	moved.path = NULL;
	return found;
}

static void handle(const struct inotify_event *event) {
	if (event->mask & IN_Q_OVERFLOW) fprintf(stderr, "events were lost: the queue overflowed\n");
	bool named = event->wd >= 0 && event->wd < path_count && paths[event->wd];
	char *path = named ? join(paths[event->wd], event->len ? event->name : "") : NULL;
	bool followed = settle_move(event, path ? path : "");
	/* Settling may have dropped the very directory that this is about. */
	if (!path || !paths[event->wd]) goto done;
	if (event->mask & IN_IGNORED) {
		free(paths[event->wd]);
		paths[event->wd] = NULL;
		goto done;
	}
	/* What happens to a directory below the root itself, its parent's watch reports with a name. */
	if (event->len == 0 && *paths[event->wd]) goto done;
	if (take_announced(path) && event->mask & IN_CREATE) goto done;
	report(event->mask, event->cookie, path);
	if (deep && event->mask & IN_ISDIR && event->len) {
		if (event->mask & IN_MOVED_FROM) {
			moved.cookie = event->cookie;
			moved.path = strdup(path);
		} else if (event->mask & (IN_CREATE | IN_MOVED_TO) && !followed) {
			add(path, event->mask & IN_CREATE);
		}
	}
done:
	free(path);
}

int watch(const char *path, bool recursive) {
	static _Alignas(struct inotify_event) char buffer[65536];
	static char whole[PATH_MAX + 1];
	snprintf(whole, sizeof whole, "%s/", path);
	root = whole;
	deep = recursive;
	inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int error = inotify < 0 ? errno : add("", false);
	if (error) printf("error %d\n", error);
	else printf("ready\n");
	fflush(stdout);
	struct pollfd fds[2] = {{.fd = inotify, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	while (!error) {
		/* A reader that has gone shows as an error on stdout, also when no event ever comes. */
		if (poll(fds, 2, -1) < 0 && errno != EINTR) return 1;
		if (fds[1].revents) return 0;
		for (ssize_t n; (n = read(inotify, buffer, sizeof buffer)) > 0;) {
			for (char *at = buffer; at < buffer + n;) {
				const struct inotify_event *event = (const void *)at;
				handle(event);
				at += sizeof *event + event->len;
			}
			if (fflush(stdout) != 0) return 0;
		}
		forget_announced();
	}
	return 1;
}
