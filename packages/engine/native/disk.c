// The pool's subvolumes and the sandboxes' mounts.
#define _GNU_SOURCE
#include "host.h"
#include <linux/btrfs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

// Splits `path` into its directory, which is returned open, and its name.
static int open_parent(const char *path, const char **name) {
	const char *slash = strrchr(path, '/');
	char parent[4096];
	if (!slash || slash == path || (size_t)(slash - path) >= sizeof parent || strlen(slash + 1) > BTRFS_SUBVOL_NAME_MAX) {
		errno = EINVAL;
		fail("open the directory of", path);
	}
	snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
	*name = slash + 1;
	return open_or_fail(parent, O_RDONLY | O_DIRECTORY);
}

void snapshot(const char *from, const char *to, int read_only) {
	const char *name;
	int parent = open_parent(to, &name);
	struct btrfs_ioctl_vol_args_v2 args = {.fd = open_or_fail(from, O_RDONLY | O_DIRECTORY)};
	if (read_only) args.flags = BTRFS_SUBVOL_RDONLY;
	strcpy(args.name, name);
	if (ioctl(parent, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0) fail("snapshot", to);
}

void delete_subvolume(const char *path) {
	if (access(path, F_OK) < 0 && errno == ENOENT) return;
	const char *name;
	int parent = open_parent(path, &name);
	struct btrfs_ioctl_vol_args args = {0};
	strcpy(args.name, name);
	if (ioctl(parent, BTRFS_IOC_SNAP_DESTROY, &args) < 0) fail("delete", path);
}

void sync_pool(const char *dir) {
	if (syncfs(open_or_fail(dir, O_RDONLY | O_DIRECTORY)) < 0) fail("sync", dir);
}

// Has the kernel begin to write this file to the disk, and waits for nothing.
void begin_writing(const char *path) {
	if (sync_file_range(open_or_fail(path, O_RDONLY | O_NOFOLLOW), 0, 0, SYNC_FILE_RANGE_WRITE) < 0) fail("begin to write", path);
}

// A loop device that goes by itself with its last user: a crash leaves none behind.
static int attach_loop(const char *image, char *device, size_t size) {
	struct loop_config config = {.fd = open_or_fail(image, O_RDWR), .info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int control = open_or_fail("/dev/loop-control", O_RDWR);
	for (int tries = 0; tries < 64; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0) fail("loop device for", image);
		snprintf(device, size, "/dev/loop%d", number);
		if (access(device, F_OK) < 0) mknod(device, S_IFBLK | 0660, (dev_t)(7 << 8 | (number & 255)) | ((dev_t)(number >> 8) << 20));
		int fd = open_or_fail(device, O_RDWR);
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) return fd;
		close(fd);
		if (errno != EBUSY) break; // Somebody else was faster: ask for another.
	}
	fail("loop device for", image);
	return -1;
}

static void make_dir(const char *path) {
	if (mkdir(path, 0755) < 0 && errno != EEXIST) fail("mkdir", path);
}

void mount_disk(const char *image, const char *disk, const char *root, const char *lower) {
	char device[32], upper[4096], work[4096], options[16384];
	// Here, where it costs two reads: mounted with errors, the kernel would only complain in its log.
	check_disk(image);
	int fd = attach_loop(image, device, sizeof device);
	if (mount(device, disk, "ext4", MS_NOATIME, "noinit_itable,discard") < 0) fail("mount", image);
	close(fd);
	snprintf(upper, sizeof upper, "%s/upper", disk);
	snprintf(work, sizeof work, "%s/work", disk);
	make_dir(upper);
	make_dir(work);
	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	if (mount("dormice", root, "overlay", 0, options) < 0) fail("mount over", lower);
	// An overlay that cannot make its work directory is mounted all the same, and says so in the kernel's log alone.
	struct statvfs info;
	if (statvfs(root, &info) < 0) fail("look at", root);
	if (!(info.f_flag & ST_RDONLY)) return;
	errno = EUCLEAN;
	fail("mount, to be written,", image);
}

void unmount(const char *dir) {
	for (int tries = 0; tries < 500; tries++) {
		if (umount2(dir, UMOUNT_NOFOLLOW) < 0) {
			if (errno == EINVAL || errno == ENOENT) return; // No mount point, or no more.
			if (errno != EBUSY) fail("unmount", dir);
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		}
	}
	errno = EBUSY;
	fail("unmount", dir);
}
