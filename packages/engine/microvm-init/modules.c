#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void load_modules(void) {
	char name[256];
	FILE *order = fopen("/modules/order", "re");
	if (!order) die("open", "/modules/order");
	if (chdir("/modules") < 0) die("enter", "/modules");
	while (fgets(name, sizeof name, order)) {
		name[strcspn(name, "\n")] = 0;
		int fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0) die("open", name);
		/* A module whose hardware this machine lacks says ENODEV: who needs it will say so better. */
		if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST && errno != ENODEV) die("load", name);
		close(fd);
		/* The initramfs is memory. */
		unlink(name);
	}
	fclose(order);
	if (chdir("/") < 0) die("enter", "/");
}
