// What PostgreSQL never asks of the kernel is refused: it makes processes of its own, but becomes no other program, whatever
// somebody gets it to do in SQL.
#include "filter.h"

static const int refused[] = {
	SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp,
	SYS_pidfd_getfd, SYS_unshare, SYS_setns, SYS_chroot, SYS_pivot_root, SYS_mount, SYS_umount2, SYS_move_mount, SYS_open_tree,
	SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_name_to_handle_at, SYS_open_by_handle_at,
	SYS_fanotify_init, SYS_mknod, SYS_mknodat, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
	SYS_io_uring_enter, SYS_io_uring_register, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_init_module, SYS_finit_module,
	SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
	SYS_quotactl_fd, SYS_syslog, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_personality, SYS_settimeofday, SYS_clock_settime,
	SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname, SYS_vhangup, SYS_memfd_create, SYS_vmsplice,
	SYS_splice, SYS_tee,
}; // clang-format off: lists

// The last call that is known here.
enum { NEWEST = SYS_process_mrelease };

__attribute__((constructor)) static void confine(void) {
	const struct sock_filter before[] = {
		OUR_NUMBERS_ONLY,
		NO_CLONE3,
		FOR_CALL(SYS_clone, 4), ARGUMENT(0), IF_ANY(NAMESPACES), REFUSE(EPERM), ALLOW,
		COMMON_SOCKETS_ONLY,
	};
	const struct sock_filter after[] = {IF_BELOW(NEWEST + 1), ALLOW, REFUSE(ENOSYS)};
	struct sock_filter code[LENGTH(before) + 2 * LENGTH(refused) + LENGTH(after)], *at = code;
	memcpy(at, before, sizeof before);
	at += LENGTH(before);
	for (size_t i = 0; i < LENGTH(refused); i++) {
		*at++ = (struct sock_filter)IF((unsigned)refused[i]);
		*at++ = (struct sock_filter)REFUSE(EPERM);
	}
	memcpy(at, after, sizeof after);
	install(code, LENGTH(code));
}
