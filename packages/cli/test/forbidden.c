// Makes system calls that a confined process has no business with, and prints what each of them said: its name and the error.
// With an argument it looks into the process of that id; with "wait" it waits to be looked into.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void said(const char *name, long result) {
	printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
	fflush(stdout);
}

#define TRY(name, ...) (errno = 0, said(#name, syscall(SYS_##name, __VA_ARGS__)))

static void become_process(const char *name, long pid) {
	if (pid == 0) _exit(0);
	said(name, pid);
}

static void *thread(void *unused) {
	return unused;
}

// By the numbers of 32-bit x86, where 20 is getpid.
static long old_numbers(void) {
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	return result < 0 ? -1 : result;
}

int main(int argc, char **argv) {
	if (argc > 1 && !strcmp(argv[1], "wait")) {
		printf("%d\n", getpid());
		fflush(stdout);
		return (int)read(0, argv[1], 1);
	}
	if (argc > 1) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%s/mem", argv[1]);
		said("mem", open(path, O_RDWR));
		said("attach", ptrace(PTRACE_SEIZE, atoi(argv[1]), 0, 0));
		return 0;
	}
	static char zeroes[256], stack[65536];
	struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .exclude_kernel = 1};
	pthread_t started;
	errno = pthread_create(&started, NULL, thread, NULL);
	said("thread", errno ? -1 : 0);
	said("getpid", getpid());
	TRY(ptrace, PTRACE_PEEKDATA, getpid(), 0, 0);
	TRY(process_vm_readv, getpid(), zeroes, 0, zeroes, 0, 0);
	TRY(pidfd_getfd, -1, 0, 0);
	TRY(unshare, CLONE_NEWUSER);
	TRY(setns, -1, 0);
	TRY(mount, "", "/tmp", "tmpfs", 0, "");
	TRY(umount2, "/tmp", 0);
	TRY(move_mount, -1, "", -1, "", 0);
	TRY(open_tree, AT_FDCWD, "/", 0);
	TRY(fsopen, "tmpfs", 0);
	TRY(chroot, "/");
	TRY(pivot_root, "/", "/");
	TRY(open_by_handle_at, -1, zeroes, 0);
	TRY(mknod, "/tmp/fifo", 0010600, 0);
	TRY(bpf, BPF_MAP_CREATE, zeroes, sizeof zeroes);
	TRY(perf_event_open, &event, 0, -1, -1, 0);
	TRY(userfaultfd, 1);
	TRY(io_uring_setup, 1, zeroes);
	TRY(keyctl, 0, -3, 1);
	TRY(add_key, "user", "a", "b", 1, -3);
	TRY(request_key, "user", "a", 0, 0);
	TRY(init_module, zeroes, 0, "");
	TRY(finit_module, -1, "", 0);
	TRY(delete_module, "none", 0);
	TRY(kexec_load, 0, 0, 0, 0);
	TRY(reboot, 0, 0, 0, 0);
	TRY(swapon, "/none", 0);
	TRY(acct, "/none");
	TRY(personality, 0xffffffffUL);
	TRY(memfd_create, "a", 0);
	TRY(clone3, zeroes, 64);
	errno = 0;
	said("new_namespace", syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, stack + sizeof stack, 0, 0, 0));
	said("packet_socket", socket(AF_PACKET, SOCK_RAW, 0));
	said("crypto_socket", socket(AF_ALG, SOCK_SEQPACKET, 0));
	said("vm_socket", socket(AF_VSOCK, SOCK_STREAM, 0));
	said("unix_socket", socket(AF_UNIX, SOCK_STREAM, 0));
	errno = 0;
	said("other_numbers", syscall(SYS_getpid | 0x40000000));
	said("old_numbers", old_numbers());
	// What PostgreSQL may and the server may not.
	become_process("fork", syscall(SYS_fork));
	become_process("clone", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	said("kill", kill(getpid(), 0));
	said("kill_group", kill(0, 0));
	TRY(sethostname, "a", 1);
	char *command[] = {"/bin/echo", "execve done", NULL};
	TRY(execveat, AT_FDCWD, command[0], NULL, NULL, 0x8000 /* none such: it would not come back */);
	execv(command[0], command);
	said("execve", -1);
}
