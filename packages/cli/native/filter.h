// Preloaded into a process that has no business with most of the kernel: its system calls are filtered before its first own
// instruction and its first thread. What the filter refuses fails with an error and ends nobody, so that a library that tries
// something newer falls back. It cannot be taken off, and threads and children inherit it.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __x86_64__
#error "its numbers of system calls are those of x86-64"
#endif

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
// The lower half of an argument: nothing that is compared here has another.
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
// The next instruction counts only where the loaded value is this, is not, has one of these bits, or is below.
#define IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define IF_NOT(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 1, 0)
#define IF_ANY(bits) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 0, 1)
#define IF_BELOW(value) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), 1, 0)
// What follows is for this system call alone; it is `count` instructions long and decides.
#define FOR_CALL(number, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, (count))

// Among the flags of clone.
#define NAMESPACES \
	(unsigned)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

// Another architecture's numbers mean other calls; so do those of the x32 ABI, which carry a bit.
#define OUR_NUMBERS_ONLY \
	FIELD(arch), IF_NOT(AUDIT_ARCH_X86_64), REFUSE(EPERM), FIELD(nr), IF_ANY(0x40000000), REFUSE(EPERM)

// Its flags are behind a pointer, where no filter sees them. The C library falls back to clone.
#define NO_CLONE3 IF(SYS_clone3), REFUSE(ENOSYS)

// The kernel's more exotic protocols have had more than their share of holes.
#define COMMON_SOCKETS_ONLY \
	FOR_CALL(SYS_socket, 10), ARGUMENT(0), IF(AF_UNIX), ALLOW, IF(AF_INET), ALLOW, IF(AF_INET6), ALLOW, IF(AF_NETLINK), ALLOW, \
		REFUSE(EAFNOSUPPORT)

static inline void install(const struct sock_filter *code, size_t length) {
	struct sock_fprog program = {.len = (unsigned short)length, .filter = (struct sock_filter *)code};
	unsetenv("LD_PRELOAD");
	// Another process of the same user may not look into it either, through /proc.
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		return;
	fprintf(stderr, "cannot filter system calls: %s\n", strerror(errno));
	_exit(1);
}
