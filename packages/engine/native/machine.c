// What starts and fills a machine.
#define _GNU_SOURCE
#include "host.h"
#include <linux/audit.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

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

void launch(int argc, char **argv) {
	int at = 1;
	for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
		int fd = open_or_fail(argv[at], O_WRONLY);
		if (write(fd, "0", 1) != 1) fail("enter", argv[at]);
		close(fd);
	}
	if (at + 1 >= argc) {
		errno = EINVAL;
		fail("launch", argv[0]);
	}
	int log = open_log(argv[0]);
	// runsc of mid-2024 refuses a network where net.core.rmem_default is per network namespace.
	// An empty /proc/sys/net, seen by it alone, makes it believe otherwise.
	if (unshare(CLONE_NEWNS) < 0) fail("unshare", "mounts");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0) fail("mount", "/");
	if (mount("none", "/proc/sys/net", "tmpfs", MS_RDONLY, "size=4k") < 0) fail("mount", "/proc/sys/net");
	if (dup2(log, 1) < 0 || dup2(log, 2) < 0) fail("write to", argv[0]);
	leave_cpuid();
	execv(argv[at + 1], argv + at + 1);
	fail("start", argv[at + 1]);
}

int copy_of_mount(const char *path, unsigned int flags, unsigned long long attributes) {
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	struct mount_attr attr = {.attr_set = attributes, .propagation = MS_PRIVATE};
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attr, sizeof attr) < 0) fail("copy the mount of", path);
	return fd;
}

// Makes `path` and what leads to it, a directory or a regular file as `like` is. Never opens what is there already:
// the tree is a guest's own, and this runs as root, although caged in that tree.
void make_mount_point(const char *path, const char *what, mode_t like) {
	char made[4096];
	if (snprintf(made, sizeof made, "%s", path) >= (int)sizeof made) fail("mount at", path);
	for (char *slash = strchr(made + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(made, 0755) < 0 && errno != EEXIST) fail(what, path);
		*slash = '/';
	}
	int result = S_ISDIR(like) ? mkdir(made, 0755) : mknod(made, S_IFREG | 0644, 0);
	if (result < 0 && errno != EEXIST) fail(what, path);
}

// A process that serves the files of a machine was started before it was known which: it gets them now. The kernel moves
// the root of every process of the namespace whose root is the old one, so it need not be asked.
void reroot(int argc, char **argv) {
	const char *pid = argv[0], *tree = argv[1];
	char path[64];
	snprintf(path, sizeof path, "/proc/%s/root", pid);
	int old = open_or_fail(path, O_PATH | O_DIRECTORY);
	snprintf(path, sizeof path, "/proc/%s/ns/mnt", pid);
	int namespace = open_or_fail(path, O_RDONLY);
	int root = copy_of_mount(tree, AT_RECURSIVE, 0), sources[16];
	mode_t like[16];
	int count = (argc - 2) / 2;
	if (count > 16) count = 16;
	for (int i = 0; i < count; i++) {
		struct stat info;
		sources[i] = copy_of_mount(argv[2 + 2 * i], 0, MOUNT_ATTR_RDONLY);
		if (fstat(sources[i], &info) < 0) fail("look at", argv[2 + 2 * i]);
		like[i] = info.st_mode;
	}
	if (setns(namespace, CLONE_NEWNS) < 0) fail("enter", path);
	if (fchdir(old) < 0 || chroot(".") < 0) fail("enter the root of", pid);
	// An empty directory in the place that was held for the tree.
	if (move_mount(root, "", AT_FDCWD, "/new", MOVE_MOUNT_F_EMPTY_PATH) < 0) fail("move the tree to", pid);
	if (chdir("/new") < 0 || syscall(SYS_pivot_root, ".", ".") < 0) fail("change the root of", pid);
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) fail("leave the old root of", pid);
	for (int i = 0; i < count; i++) {
		const char *at = argv[3 + 2 * i];
		make_mount_point(at, "make the mount point", like[i]);
		if (move_mount(sources[i], "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0) fail("mount at", at);
	}
}

// A raw socket on eth0 of the network namespace, as gVisor's network stack wants it. The interface's own address goes:
// the guest's kernel answers for it from now on, and the host's must not.
static int packet_socket(const char *netns) {
	struct ifreq request = {.ifr_name = "eth0"};
	struct ethtool_value gso = {.cmd = ETHTOOL_GGSO};
	int one = 1, buffer = 4 << 20;
	if (setns(open_or_fail(netns, O_RDONLY), CLONE_NEWNET) < 0) fail("enter", netns);
	int plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (plain < 0 || fd < 0) fail("socket in", netns);
	((struct sockaddr_in *)&request.ifr_addr)->sin_family = AF_INET;
	if (ioctl(plain, SIOCSIFADDR, &request) < 0 && errno != EADDRNOTAVAIL) fail("take the address in", netns);
	if (ioctl(plain, SIOCGIFINDEX, &request) < 0) fail("eth0 in", netns);
	struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(3 /* every protocol */), .sll_ifindex = request.ifr_ifindex};
	if (bind(fd, (struct sockaddr *)&link, sizeof link) < 0) fail("bind in", netns);
	request.ifr_data = (char *)&gso;
	if (ioctl(plain, SIOCETHTOOL, &request) < 0 || !gso.data) {
		errno = EOPNOTSUPP; // The call that passes this socket says that it has segmentation offload.
		fail("segmentation offload in", netns);
	}
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) fail("socket option in", netns);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0) fail("socket option in", netns);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) < 0) fail("socket option in", netns);
	close(plain);
	return fd;
}

// `read:PATH`, `create:PATH` or `packet:NETNS`.
static int descriptor(const char *wanted) {
	if (!strncmp(wanted, "read:", 5)) return open_or_fail(wanted + 5, O_RDONLY | O_NOFOLLOW);
	if (!strncmp(wanted, "create:", 7)) return open_or_fail(wanted + 7, O_RDWR | O_CREAT | O_EXCL);
	if (!strncmp(wanted, "packet:", 7)) return packet_socket(wanted + 7);
	errno = EINVAL;
	fail("descriptor", wanted);
	return -1;
}

// Whether `text` is one whole JSON object.
static int is_whole(const char *text, size_t length) {
	int depth = 0, in_string = 0;
	for (size_t i = 0; i < length; i++) {
		if (in_string) {
			if (text[i] == '\\') i++;
			else if (text[i] == '"') in_string = 0;
		} else if (text[i] == '"') in_string = 1;
		else if (text[i] == '{') depth++;
		else if (text[i] == '}' && --depth == 0) return 1;
	}
	return 0;
}

void call(int argc, char **argv) {
	const char *path = argv[0], *json = argv[1];
	int fds[8], count = argc - 2;
	if (count > 8) {
		errno = E2BIG;
		fail("call", path);
	}
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		fail("connect to", path);
	}
	int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer < 0 || connect(peer, (struct sockaddr *)&address, sizeof address) < 0) fail("connect to", path);
	for (int i = 0; i < count; i++) fds[i] = descriptor(argv[2 + i]);
	char control[CMSG_SPACE(sizeof fds)] = {0}, text[60000];
	size_t length = strlen(json), sent = 0, got = 0;
	struct iovec part = {.iov_base = (char *)json, .iov_len = length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (count > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		*header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count)};
		memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)count);
	}
	while (sent < length) {
		ssize_t put = sent == 0 ? sendmsg(peer, &message, MSG_NOSIGNAL) : send(peer, json + sent, length - sent, MSG_NOSIGNAL);
		if (put < 0) fail("call", path);
		sent += (size_t)put;
	}
	while (got < sizeof text && !is_whole(text, got)) {
		ssize_t more = recv(peer, text + got, sizeof text - got, 0);
		if (more <= 0) {
			if (more == 0) errno = ECONNRESET;
			fail("answer of", path);
		}
		got += (size_t)more;
	}
	fwrite(text, 1, got, stdout);
}
