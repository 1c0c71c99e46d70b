/*
 * gVisor's /proc keeps up to a thousand of the names that were looked up, of processes long dead too, each with some forty
 * files, and all of it is part of every stored state: a sandbox that has run a few hundred commands took four times as long
 * to store and to wake. Its limit is an option of the mount, which only a mount from inside can say.
 */
#define _GNU_SOURCE
#include "procfs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE "/dev/shm/.proc"
/* What the host mounted below it, the boot id, is kept: it lies in a directory that cannot be made anew. */
#define KEPT "/sys/kernel"

/* Of gVisor alone: no other /proc has this option. */
static int remembers(void) {
	char line[512];
	int found = 0;
	FILE *mounts = fopen("/proc/mounts", "re");
	if (!mounts) return 0;
	while (!found && fgets(line, sizeof line, mounts)) found = strstr(line, " /proc proc ") && strstr(line, "dentry_cache_limit=1000");
	fclose(mounts);
	return found;
}

void forget_processes(void) {
	if (!remembers() || mkdir(PLACE, 0700) < 0) return;
	if (mount("proc", PLACE, "proc", 0, "dentry_cache_limit=0") == 0) {
		if (mount("/proc" KEPT, PLACE KEPT, NULL, MS_BIND | MS_REC, NULL) == 0 && umount2("/proc", MNT_DETACH) == 0)
			if (mount(PLACE, "/proc", NULL, MS_BIND | MS_REC, NULL) < 0) mount("proc", "/proc", "proc", 0, NULL);
		umount2(PLACE, MNT_DETACH);
	}
	rmdir(PLACE);
	errno = 0;
}
