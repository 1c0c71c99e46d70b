/*
 * The root file system, from the drives that the host attached, each told by its serial number:
 *   root      the template's root file system, read-only (erofs)
 *   disk      the sandbox's own writable disk (ext4): `upper` and `work`, as the engine's native/disk.c lays them out
 *   guest     the supervisor's bundle, read-only (erofs)
 *   modules   the modules of this kernel, read-only (erofs); may be absent
 */
#define _GNU_SOURCE
#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LOWER "/lower"
#define DISK "/disk"

/* Container engines lay overlays of their own in these, which cannot lie on an overlay: the disk itself is put there. */
static const char *of_containers[] = {"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"};

static const char *in(const char *root, const char *path) {
	static char joined[2][4096];
	static int turn;
	turn = !turn;
	snprintf(joined[turn], sizeof joined[turn], "%s%s", root, path);
	return joined[turn];
}

static void make_dirs(const char *root, const char *path) {
	char parent[256];
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
		make_dir(in(root, parent), 0755);
	}
	make_dir(in(root, path), 0755);
}

static bool mount_drive(const char *serial, const char *dir, const char *type, unsigned long flags, const char *options) {
	const char *drive = find_drive(serial);
	if (drive) mount_or_die(drive, dir, type, flags, options);
	return drive != NULL;
}

static void require_drive(const char *serial, const char *dir, const char *type, unsigned long flags, const char *options) {
	if (mount_drive(serial, dir, type, flags, options)) return;
	errno = ENODEV;
	die("find the drive", serial);
}

static bool has_content(const char *path) {
	int entries = 0;
	DIR *dir = opendir(path);
	while (dir && readdir(dir)) entries++;
	if (dir) closedir(dir);
	return entries > 2;
}

/* What a template came with stays where it is, on the overlay: the disk has none of it. */
static void give_disk(const char *root, const char *path) {
	if (has_content(in(LOWER, path))) return;
	make_dirs(root, path);
	struct stat info;
	/* A directory of the template's comes to the disk by being changed. */
	if (stat(in(root, path), &info) < 0 || chmod(in(root, path), info.st_mode & 07777) < 0) die("change", path);
	mount_or_die(in(DISK "/upper", path), in(root, path), NULL, MS_BIND, NULL);
}

static void mount_in(const char *root, const char *path, const char *type, unsigned long flags, const char *options) {
	make_dirs(root, path);
	mount_or_die(type, in(root, path), type, flags, options);
}

static void link_in(const char *root, const char *path, const char *target) {
	if (symlink(target, in(root, path)) < 0 && errno != EEXIST) die("link", path);
}

/* As gvisor/spec.ts has them, and of the rest what a kernel of one's own has more. */
static void mount_kernel(const char *root) {
	unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	mount_in(root, "/proc", "proc", plain, NULL);
	mount_in(root, "/sys", "sysfs", plain, NULL);
	mount_in(root, "/sys/fs/cgroup", "cgroup2", plain, "nsdelegate");
	mount_in(root, "/dev", "devtmpfs", MS_NOSUID, "mode=755");
	mount_in(root, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
	mount_in(root, "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_in(root, "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_in(root, "/var/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_in(root, "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
	link_in(root, "/dev/fd", "/proc/self/fd");
	link_in(root, "/dev/stdin", "/proc/self/fd/0");
	link_in(root, "/dev/stdout", "/proc/self/fd/1");
	link_in(root, "/dev/stderr", "/proc/self/fd/2");
}

/* Nodes that load their module when they are opened: depmod lists them as `tun net/tun c10:200`. */
static void make_nodes(const char *root, const char *modules) {
	char line[1024], name[64], path[128], type;
	unsigned major, minor;
	snprintf(line, sizeof line, "%s%s/modules.devname", root, modules);
	FILE *list = fopen(line, "re");
	while (list && fgets(line, sizeof line, list)) {
		if (sscanf(line, "%*s %63s %c%u:%u", name, &type, &major, &minor) != 4) continue;
		snprintf(path, sizeof path, "/dev/%s", name);
		char *slash = strrchr(path, '/');
		*slash = 0;
		make_dir(in(root, path), 0755);
		*slash = '/';
		bool for_all = !strcmp(name, "fuse") || !strcmp(name, "net/tun");
		mknod(in(root, path), (type == 'b' ? S_IFBLK : S_IFCHR) | (for_all ? 0666 : 0600), makedev(major, minor));
	}
	if (list) fclose(list);
}

static void mount_modules(const char *root) {
	struct utsname kernel;
	char path[256];
	if (uname(&kernel) < 0) die("ask for", "the kernel's release");
	snprintf(path, sizeof path, "/lib/modules/%s", kernel.release);
	if (!find_drive("modules")) return;
	make_dirs(root, path);
	mount_drive("modules", in(root, path), "erofs", MS_RDONLY | MS_NODEV, NULL);
	make_nodes(root, path);
}

/* An overlay that cannot make its work directory is mounted all the same. */
static void require_writable(const char *root) {
	struct statvfs info;
	if (statvfs(root, &info) < 0) die("look at", root);
	if (!(info.f_flag & ST_RDONLY)) return;
	/* What was found goes to the disk with this: the host mends it before the next boot. */
	umount2(root, 0);
	umount2(DISK, 0);
	errno = EROFS;
	die("write", root);
}

void make_root(const char *root) {
	char options[512];
	make_dir(LOWER, 0755);
	make_dir(DISK, 0755);
	make_dir(root, 0755);
	require_drive("root", LOWER, "erofs", MS_RDONLY, NULL);
	require_drive("disk", DISK, "ext4", MS_NOATIME, "noinit_itable,discard");
	make_dir(DISK "/upper", 0755);
	make_dir(DISK "/work", 0755);
	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", LOWER, DISK, DISK);
	mount_or_die("dormice", root, "overlay", 0, options);
	require_writable(root);
	for (size_t i = 0; i < sizeof of_containers / sizeof *of_containers; i++) give_disk(root, of_containers[i]);
	mount_kernel(root);
	make_dirs(root, "/.dormice");
	require_drive("guest", in(root, "/.dormice"), "erofs", MS_RDONLY | MS_NODEV, NULL);
	mount_modules(root);
	/* The overlay holds what it needs of them; inside nobody is to see the two apart. */
	if (umount2(LOWER, MNT_DETACH) < 0) die("unmount", LOWER);
	if (umount2(DISK, MNT_DETACH) < 0) die("unmount", DISK);
}
