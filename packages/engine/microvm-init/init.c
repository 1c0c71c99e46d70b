/*
 * PID 1 of a microVM until its root is there: loads the modules, joins the drives to a root file system, sets up the
 * network and becomes what runs in every sandbox, `tini -- spawner`. The only program of the initramfs, so it asks the
 * kernel itself for everything. What it puts together is what the gVisor driver gives its sandboxes (gvisor/spec.ts).
 *
 * From the kernel's command line it takes `dormice.hostname=NAME`.
 */
#define _GNU_SOURCE
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/new-root"
#define MOUNT "/.dormice"

void die(const char *what, const char *name) {
	fprintf(stderr, "dormice-init: %s %s: %s\n", what, name, strerror(errno));
	reboot(RB_AUTOBOOT);
	_exit(1);
}

void make_dir(const char *path, mode_t mode) {
	if (mkdir(path, mode) < 0 && errno != EEXIST) die("mkdir", path);
}

void mount_or_die(const char *source, const char *dir, const char *type, unsigned long flags, const char *options) {
	if (mount(source, dir, type, flags, options) < 0) die("mount", dir);
}

static void set_hostname(void) {
	char line[4096], *word;
	FILE *file = fopen("/proc/cmdline", "re");
	if (!file || !fgets(line, sizeof line, file)) die("read", "/proc/cmdline");
	fclose(file);
	for (char *rest = line; (word = strsep(&rest, " \n"));) {
		if (strncmp(word, "dormice.hostname=", 17) != 0) continue;
		if (sethostname(word + 17, strlen(word + 17)) < 0) die("set the hostname", word + 17);
	}
}

/* Kernel threads, and with them the helpers that the kernel calls (modprobe), share our root: they move along. */
static void enter(const char *root) {
	unlink("/init");
	if (chdir(root) < 0) die("enter", root);
	mount_or_die(".", "/", NULL, MS_MOVE, NULL);
	if (chroot(".") < 0 || chdir("/") < 0) die("enter", root);
	/* As other systems have it; container engines ask for it. */
	mount_or_die(NULL, "/", NULL, MS_SHARED | MS_REC, NULL);
}

int main(void) {
	static char *program[] = {MOUNT "/tini", "--", MOUNT "/spawner", NULL};
	static char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
	                              "LC_CTYPE=C.UTF-8", NULL};
	umask(0);
	make_dir("/proc", 0555);
	make_dir("/sys", 0555);
	make_dir("/dev", 0755);
	mount_or_die("proc", "/proc", "proc", 0, NULL);
	mount_or_die("sysfs", "/sys", "sysfs", 0, NULL);
	mount_or_die("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	make_root(ROOT);
	configure_network();
	set_hostname();
	enter(ROOT);
	umask(022);
	struct rlimit files = {.rlim_cur = 65536, .rlim_max = 65536};
	if (setrlimit(RLIMIT_NOFILE, &files) < 0) die("limit", "open files");
	execve(program[0], program, environment);
	die("start", program[0]);
}
