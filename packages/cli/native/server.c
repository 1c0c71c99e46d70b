// What Node and its libraries ask of the kernel once they run; everything else is refused. Above all there is no way to become
// another program, to make a process, or to look into one.
#include "filter.h"
#include <asm/termbits.h>
#include <sys/ioctl.h>

static const int allowed[] = {
	// Files.
	SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
	SYS_open, SYS_openat, SYS_close, SYS_close_range, SYS_stat, SYS_fstat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_statfs,
	SYS_fstatfs, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_lseek, SYS_getdents, SYS_getdents64, SYS_getcwd, SYS_readlink,
	SYS_readlinkat, SYS_mkdir, SYS_mkdirat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_rmdir, SYS_unlink, SYS_unlinkat,
	SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_umask, SYS_utimensat, SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fsync,
	SYS_fdatasync, SYS_flock, SYS_fadvise64, SYS_copy_file_range, SYS_sendfile, SYS_inotify_init1, SYS_inotify_add_watch,
	SYS_inotify_rm_watch, SYS_dup, SYS_dup2, SYS_dup3, SYS_fcntl, SYS_pipe, SYS_pipe2, SYS_eventfd2,
	// Memory.
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_mincore, SYS_msync, SYS_brk, SYS_membarrier,
	SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
	// Sockets, but for making them.
	SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_shutdown, SYS_getsockname, SYS_getpeername,
	SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
	// Waiting, and time.
	SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_create, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait,
	SYS_epoll_pwait, SYS_epoll_pwait2, SYS_futex, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres,
	SYS_gettimeofday, SYS_time, SYS_times, SYS_restart_syscall,
	// Threads, signals, and what it is itself.
	SYS_exit, SYS_exit_group, SYS_gettid, SYS_set_tid_address, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq,
	SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max,
	SYS_sched_get_priority_min, SYS_getpriority, SYS_getcpu, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_sigaltstack, SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid,
	SYS_getresgid, SYS_getgroups, SYS_getpgrp, SYS_capget, SYS_getrlimit, SYS_getrusage, SYS_uname, SYS_sysinfo,
	SYS_getrandom, SYS_prctl,
}; // clang-format off: lists

// The first calls that came after those which are known here: a program asks whether they are there.
enum { FIRST_UNKNOWN = SYS_pidfd_open };

__attribute__((constructor)) static void confine(void) {
	const struct sock_filter before[] = {
		OUR_NUMBERS_ONLY,
		NO_CLONE3,
		// Threads, and no processes.
		FOR_CALL(SYS_clone, 6), ARGUMENT(0), IF_ANY(NAMESPACES), REFUSE(EPERM), IF_ANY(CLONE_THREAD), ALLOW, REFUSE(EPERM),
		// Its own process may be signalled, as `abort` does; the database's, which is of the same user, may not.
		FOR_CALL(SYS_kill, 4), ARGUMENT(0), IF((unsigned)getpid()), ALLOW, REFUSE(EPERM),
		FOR_CALL(SYS_tgkill, 4), ARGUMENT(0), IF((unsigned)getpid()), ALLOW, REFUSE(EPERM),
		FOR_CALL(SYS_prlimit64, 4), ARGUMENT(0), IF(0), ALLOW, REFUSE(EPERM),
		// Not to type into a terminal.
		FOR_CALL(SYS_ioctl, 6), ARGUMENT(1), IF(TIOCSTI), REFUSE(EPERM), IF(TIOCLINUX), REFUSE(EPERM), ALLOW,
		COMMON_SOCKETS_ONLY,
	};
	const struct sock_filter after[] = {IF_BELOW(FIRST_UNKNOWN), REFUSE(EPERM), REFUSE(ENOSYS)};
	struct sock_filter code[LENGTH(before) + 2 * LENGTH(allowed) + LENGTH(after)], *at = code;
	memcpy(at, before, sizeof before);
	at += LENGTH(before);
	for (size_t i = 0; i < LENGTH(allowed); i++) {
		*at++ = (struct sock_filter)IF((unsigned)allowed[i]);
		*at++ = (struct sock_filter)ALLOW;
	}
	memcpy(at, after, sizeof after);
	install(code, LENGTH(code));
}
