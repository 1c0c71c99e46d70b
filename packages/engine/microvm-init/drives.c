#define _GNU_SOURCE
#include "init.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Reads a small file of sysfs; an empty string where there is none. */
static void read_line(const char *path, char *line, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, size - 1);
	line[n > 0 ? n : 0] = 0;
	line[strcspn(line, "\n")] = 0;
	if (fd >= 0) close(fd);
}

/* The kernel names drives in the order in which it finds them, which is not the order of the command line. */
const char *find_drive(const char *serial) {
	static char path[300];
	char line[64];
	DIR *dir = opendir("/sys/block");
	if (!dir) die("open", "/sys/block");
	bool found = false;
	for (struct dirent *entry; !found && (entry = readdir(dir));) {
		snprintf(path, sizeof path, "/sys/block/%s/serial", entry->d_name);
		read_line(path, line, sizeof line);
		found = strcmp(line, serial) == 0;
		if (found) snprintf(path, sizeof path, "/dev/%s", entry->d_name);
	}
	closedir(dir);
	return found ? path : NULL;
}
