// What the engine needs of the kernel and Node cannot ask for: one process start instead of five on the way to a wake.
//
//   host snapshot FROM TO                    a writable btrfs snapshot of the subvolume FROM, as TO
//   host mount IMAGE DISK ROOT LOWER         the ext4 image on DISK, and over LOWER, made writable by it, on ROOT
//   host unmount DIR...                      each DIR, while it is a mount point; waits for what was just killed
//   host launch LOG PROCS... -- COMMAND...   COMMAND inside the cgroups whose cgroup.procs are named, its output in LOG
//
// Errors: one line on standard error, exit code 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/btrfs.h>
#include <linux/filter.h>
#include <linux/loop.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what, const char *path) {
	fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static int open_or_fail(const char *path, int flags) {
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0) fail("open", path);
	return fd;
}

static void snapshot(const char *from, const char *to) {
	const char *name = strrchr(to, '/');
	if (!name || strlen(name + 1) > BTRFS_SUBVOL_NAME_MAX) {
		errno = EINVAL;
		fail("snapshot", to);
	}
	char parent[4096];
	snprintf(parent, sizeof parent, "%.*s", (int)(name - to), to);
	struct btrfs_ioctl_vol_args_v2 args = {.fd = open_or_fail(from, O_RDONLY | O_DIRECTORY)};
	strcpy(args.name, name + 1);
	if (ioctl(open_or_fail(parent, O_RDONLY | O_DIRECTORY), BTRFS_IOC_SNAP_CREATE_V2, &args) < 0) fail("snapshot", to);
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

static void mount_disk(const char *image, const char *disk, const char *root, const char *lower) {
	char device[32], upper[4096], work[4096], options[16384];
	int fd = attach_loop(image, device, sizeof device);
	if (mount(device, disk, "ext4", MS_NOATIME, "noinit_itable,discard") < 0) fail("mount", image);
	close(fd);
	snprintf(upper, sizeof upper, "%s/upper", disk);
	snprintf(work, sizeof work, "%s/work", disk);
	make_dir(upper);
	make_dir(work);
	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	if (mount("dormice", root, "overlay", 0, options) < 0) fail("mount over", lower);
}

static void unmount(const char *dir) {
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

// gVisor makes the cpuid instruction fault where the processor can, to answer it itself: 50 us each, and the C library
// begins every program with some seventy. Refused here, it goes on as on processors without that ability, which it
// supports too: programs ask the processor. Best effort, as it is only about time.
static void leave_cpuid(void) {
#ifdef __x86_64__
	enum { ARCH_SET_CPUID = 0x1012 };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_SET_CPUID, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENODEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0) fprintf(stderr, "leave cpuid: %s\n", strerror(errno));
#endif
}

static void launch(int argc, char **argv) {
	char pid[16];
	int length = snprintf(pid, sizeof pid, "%d", getpid()), at = 1;
	for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
		int fd = open_or_fail(argv[at], O_WRONLY);
		if (write(fd, pid, length) != length) fail("enter", argv[at]);
		close(fd);
	}
	if (at + 1 >= argc) {
		errno = EINVAL;
		fail("launch", argv[0]);
	}
	// runsc of mid-2024 refuses a network where net.core.rmem_default is per network namespace.
	// An empty /proc/sys/net, seen by it alone, makes it believe otherwise.
	if (unshare(CLONE_NEWNS) < 0) fail("unshare", "mounts");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0) fail("mount", "/");
	if (mount("none", "/proc/sys/net", "tmpfs", MS_RDONLY, "size=4k") < 0) fail("mount", "/proc/sys/net");
	int log = open_or_fail(argv[0], O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
	if (dup2(log, 1) < 0 || dup2(log, 2) < 0) fail("write to", argv[0]);
	leave_cpuid();
	execv(argv[at + 1], argv + at + 1);
	fail("start", argv[at + 1]);
}

int main(int argc, char **argv) {
	const char *verb = argc > 1 ? argv[1] : "";
	if (!strcmp(verb, "snapshot") && argc == 4) snapshot(argv[2], argv[3]);
	else if (!strcmp(verb, "mount") && argc == 6) mount_disk(argv[2], argv[3], argv[4], argv[5]);
	else if (!strcmp(verb, "unmount") && argc > 2) for (int i = 2; i < argc; i++) unmount(argv[i]);
	else if (!strcmp(verb, "launch") && argc > 4) launch(argc - 2, argv + 2);
	else {
		fprintf(stderr, "host: no such verb, or a wrong number of arguments: %s\n", verb);
		return 1;
	}
	return 0;
}
