#include "attributes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

int set_attribute(struct reader *r) {
	const char *path = take_string(r), *name = take_string(r), *value = take_string(r);
	if (r->bad) return EINVAL;
	return setxattr(path, name, value, strlen(value), 0) < 0 ? errno : 0;
}

/* 64 KiB is the kernel's own limit for a list and for a value. */
static char names[65536], value[65536];

static bool begins(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

/* -1 where there is no such thing, which for a copy or a removal is as good as done. */
static ssize_t list(const char *path, int *error) {
	ssize_t length = listxattr(path, names, sizeof names);
	*error = length < 0 && errno != EOPNOTSUPP && errno != ENOENT ? errno : 0;
	return length;
}

int get_attributes(struct reader *r, struct writer *w) {
	const char *path = take_string(r), *prefix = take_string(r);
	if (r->bad) return EINVAL;
	ssize_t length = listxattr(path, names, sizeof names);
	if (length < 0) return errno;
	for (char *name = names; name < names + length; name += strlen(name) + 1) {
		if (!begins(name, prefix)) continue;
		ssize_t size = getxattr(path, name, value, sizeof value);
		/* Taken away since the list was read. */
		if (size < 0) continue;
		put_string(w, name, strlen(name));
		put_string(w, value, (size_t)size);
	}
	return 0;
}

int remove_attributes(struct reader *r) {
	const char *path = take_string(r), *prefix = take_string(r);
	if (r->bad) return EINVAL;
	int error;
	ssize_t length = list(path, &error);
	for (char *name = names; name < names + length; name += strlen(name) + 1)
		if (begins(name, prefix) && removexattr(path, name) < 0 && errno != ENODATA) return errno;
	return error;
}

int copy_attributes(struct reader *r) {
	const char *from = take_string(r), *to = take_string(r), *except = take_string(r);
	if (r->bad) return EINVAL;
	int error;
	ssize_t length = list(from, &error);
	for (char *name = names; name < names + length; name += strlen(name) + 1) {
		bool users = (begins(name, "user.") && !begins(name, except)) || strcmp(name, "system.posix_acl_access") == 0;
		ssize_t size = users ? getxattr(from, name, value, sizeof value) : -1;
		if (size >= 0 && setxattr(to, name, value, (size_t)size, 0) < 0 && errno != EOPNOTSUPP) return errno;
	}
	return error;
}
