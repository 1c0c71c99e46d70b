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

int get_attributes(struct reader *r, struct writer *w) {
	/* 64 KiB is the kernel's own limit for a list and for a value. */
	static char names[65536], value[65536];
	const char *path = take_string(r), *prefix = take_string(r);
	if (r->bad) return EINVAL;
	ssize_t length = listxattr(path, names, sizeof names);
	if (length < 0) return errno;
	for (char *name = names; name < names + length; name += strlen(name) + 1) {
		if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
		ssize_t size = getxattr(path, name, value, sizeof value);
		/* Taken away since the list was read. */
		if (size < 0) continue;
		put_string(w, name, strlen(name));
		put_string(w, value, (size_t)size);
	}
	return 0;
}
