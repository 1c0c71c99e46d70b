// Where a virtual machine monitor runs: it sees the few files it was given, has a user id of its own and nothing else.
#define _GNU_SOURCE
#include "host.h"
#include <grp.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

// The descriptors that the monitor finds its network device, its control socket and its log at.
enum { TAP_FD = 3, CONTROL_FD, LOG_FD };

static void delete_link(const char *name) {
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} request = {
		.head = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_index = (int)if_nametoindex(name)},
	};
	if (request.info.ifi_index == 0) return;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char answer[1024];
	if (fd < 0 || send(fd, &request, sizeof request, 0) < 0 || recv(fd, answer, sizeof answer, 0) < 0) fail("remove the link", name);
	int error = ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
	if (error != 0) {
		errno = -error;
		fail("remove the link", name);
	}
	close(fd);
}

// Deleting a link waits for all who may still look at it, twenty milliseconds or more. It is out of the way at once, and
// deleted behind us; who dies of that leaves it to whoever deletes its namespace.
static void put_aside(int plain, const char *name) {
	static const char aside[] = "aside";
	struct ifreq request = {0};
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (ioctl(plain, SIOCSIFFLAGS, &request) < 0) fail("bring down", name);
	memcpy(request.ifr_newname, aside, sizeof aside);
	if (ioctl(plain, SIOCSIFNAME, &request) < 0) fail("rename", name);
	pid_t pid = fork();
	if (pid < 0) fail("fork", "");
	if (pid > 0) return;
	// Who started this waits for whoever has its output.
	close_range(0, ~0U, 0);
	delete_link(aside);
	_exit(0);
}

// In the router's namespace, the link towards the guest becomes a tap with the same name and addresses: the firewall,
// which goes by the name, stays as it is.
static int take_link(const char *netns, const char *name, const char *mac, const char *address) {
	if (setns(open_or_fail(netns, O_RDONLY), CLONE_NEWNET) < 0) fail("enter", netns);
	int plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	put_aside(plain, name);
	int fd = open_or_fail("/dev/net/tun", O_RDWR);
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (plain < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail("make the tap", name);
	unsigned char *m = (unsigned char *)request.ifr_hwaddr.sa_data;
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) fail("read the address", mac);
	if (ioctl(plain, SIOCSIFHWADDR, &request) < 0) fail("address", name);
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
	*in = (struct sockaddr_in){.sin_family = AF_INET};
	if (inet_pton(AF_INET, address, &in->sin_addr) != 1 || ioctl(plain, SIOCSIFADDR, &request) < 0) fail("address", name);
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xfffffffc)};
	if (ioctl(plain, SIOCSIFNETMASK, &request) < 0) fail("netmask of", name);
	request.ifr_flags = IFF_UP;
	if (ioctl(plain, SIOCSIFFLAGS, &request) < 0) fail("bring up", name);
	close(plain);
	return fd;
}

// Made out here, so that whoever connects to it never follows what somebody inside put in its place.
static int control_socket(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= (int)sizeof address.sun_path) errno = ENAMETOOLONG, fd = -1;
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0) fail("listen at", path);
	return fd;
}

// `source` at `destination` below `root`.
static void bind_at(const char *root, const char *source, const char *destination, unsigned long flags) {
	struct stat info;
	char at[4096];
	if (stat(source, &info) < 0) fail("look at", source);
	if (snprintf(at, sizeof at, "%s%s", root, destination) >= (int)sizeof at) fail("bind at", destination);
	make_mount_point(at, "bind at", info.st_mode);
	if (mount(source, at, NULL, MS_BIND, NULL) < 0) fail("bind", source);
	if (mount(NULL, at, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID | flags, NULL) < 0) fail("bind", source);
}

static void device(const char *root, const char *name, uid_t owner) {
	char from[64], at[4096];
	struct stat info;
	snprintf(from, sizeof from, "/dev/%s", name);
	if (stat(from, &info) < 0) return; // It goes without, or says so itself.
	if (snprintf(at, sizeof at, "%s/dev/%s", root, name) >= (int)sizeof at) fail("device", name);
	if (mknod(at, S_IFCHR | 0600, info.st_rdev) < 0 || chown(at, owner, owner) < 0) fail("device", name);
}

// Starts COMMAND as UID. It is the first process of namespaces of its own, its root is a directory that holds what is named
// and the host's /usr. Its process id is in PID_FILE when this ends.
void jail(int argc, char **argv) {
	const char *root = argv[0], *pid_file = argv[1], *owner = argv[2], *router = argv[4], *guest = argv[5];
	uid_t uid = (uid_t)strtoul(owner, NULL, 10);
	int at = 9;
	if (uid == 0) {
		errno = EINVAL;
		fail("jail as", owner);
	}
	int tap = take_link(router, argv[6], argv[7], argv[8]), control = control_socket(argv[3]);
	if (setns(open_or_fail(guest, O_RDONLY), CLONE_NEWNET) < 0) fail("enter", guest);
	int pid_to = open_or_fail(pid_file, O_WRONLY | O_CREAT | O_TRUNC);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS) < 0) fail("unshare", "namespaces");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0) fail("mount", "/");
	if (mount("none", root, "tmpfs", MS_NOSUID, "size=64k,mode=755") < 0) fail("mount", root);
	bind_at(root, "/usr", "/usr", MS_RDONLY | MS_NODEV);
	char devices[4096];
	if (snprintf(devices, sizeof devices, "%s/dev", root) >= (int)sizeof devices || mkdir(devices, 0755) < 0) fail("mkdir", devices);
	for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
		char *kind = argv[at], *source = strchr(kind, ':'), *destination = source ? strrchr(source, ':') : NULL;
		if (!source) fail("jail with", kind);
		*source++ = 0;
		if (!strcmp(kind, "dev")) {
			device(root, source, uid);
			continue;
		}
		if (!strcmp(kind, "env")) {
			if (putenv(source) != 0) fail("set", source);
			continue;
		}
		if (destination < source) fail("jail with", source);
		*destination++ = 0;
		unsigned long access = !strcmp(kind, "rw") ? MS_NOEXEC : !strcmp(kind, "lib") ? MS_RDONLY : MS_RDONLY | MS_NOEXEC;
		bind_at(root, source, destination, MS_NODEV | access);
	}
	if (at + 1 >= argc) {
		errno = EINVAL;
		fail("jail", root);
	}
	static const char *const links[] = {"bin", "sbin", "lib", "lib32", "lib64"};
	device(root, "null", uid);
	device(root, "urandom", uid);
	if (chdir(root) < 0) fail("enter", root);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		char to[32];
		snprintf(to, sizeof to, "usr/%s", links[i]);
		if (symlink(to, links[i]) < 0) fail("link", links[i]);
	}
	pid_t pid = fork();
	if (pid < 0) fail("fork", "");
	if (pid > 0) {
		if (dprintf(pid_to, "%d", pid) < 0) fail("write", pid_file);
		exit(0);
	}
	if (setsid() < 0) fail("setsid", "");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) fail("enter", root);
	int tap_copy = fcntl(tap, F_DUPFD, LOG_FD + 1), control_copy = fcntl(control, F_DUPFD, LOG_FD + 1);
	if (dup2(tap_copy, TAP_FD) < 0 || dup2(control_copy, CONTROL_FD) < 0 || dup2(1, LOG_FD) < 0) fail("hand over", "descriptors");
	close_range(LOG_FD + 1, ~0U, 0);
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0) fail("become", owner);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("give up", "privileges");
	execv(argv[at + 1], argv + at + 1);
	fail("start", argv[at + 1]);
}

// Puts files into a jail whose process was started before it was known which.
void give(int argc, char **argv) {
	char path[64], *destinations[16];
	int copies[16], count = argc - 1;
	mode_t like[16];
	if (count > 16) {
		errno = E2BIG;
		fail("give to", argv[0]);
	}
	snprintf(path, sizeof path, "/proc/%s/ns/mnt", argv[0]);
	int namespace = open_or_fail(path, O_RDONLY);
	for (int i = 0; i < count; i++) {
		char *source = strchr(argv[1 + i], ':'), *destination = source ? strrchr(source, ':') : NULL;
		struct stat info;
		if (!source || destination <= source) fail("give", argv[1 + i]);
		*source++ = *destination++ = 0;
		unsigned long long attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
		copies[i] = copy_of_mount(source, 0, attributes | (strcmp(argv[1 + i], "rw") != 0 ? MOUNT_ATTR_RDONLY : 0));
		if (fstat(copies[i], &info) < 0) fail("look at", source);
		like[i] = info.st_mode;
		destinations[i] = destination;
	}
	if (setns(namespace, CLONE_NEWNS) < 0) fail("enter the jail of", argv[0]);
	for (int i = 0; i < count; i++) {
		make_mount_point(destinations[i], "make the mount point", like[i]);
		if (move_mount(copies[i], "", AT_FDCWD, destinations[i], MOVE_MOUNT_F_EMPTY_PATH) < 0) fail("give", destinations[i]);
	}
}
