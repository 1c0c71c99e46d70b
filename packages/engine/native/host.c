// What the engine needs of the kernel and Node cannot ask for.
//
//   host serve                                verbs from standard input, side by side, without a program start for each
//   host snapshot FROM TO [ro]                a btrfs snapshot of the subvolume FROM, as TO
//   host delete SUBVOLUME                     the subvolume, if it is there; its space comes back in the background
//   host sync DIR                             returns when everything written to DIR's file system is durable
//   host mount IMAGE DISK ROOT LOWER          the ext4 image on DISK, and over LOWER, made writable by it, on ROOT
//   host check IMAGE                          fails with "Structure needs cleaning" where the ext4 image says that it was hurt
//   host repair IMAGE UID                     the ext4 image mended, by UID; prints what was wrong
//   host unmount DIR...                       each DIR, while it is a mount point; waits for what was just killed
//   host cut ADDRESS                          resets every TCP connection of the host's to this IPv4 address; prints how many
//   host launch LOG DOORS... -- COMMAND...    COMMAND inside the cgroups whose doors are named, its output in LOG,
//                                             which stays short
//   host reroot PID TREE [SOURCE DEST]...     the mount TREE as the root of PID's mount namespace, SOURCEs bound inside
//   host jail ROOT PID_FILE UID SOCKET ROUTER NETNS LINK MAC ADDRESS [ro|rw:SOURCE:DEST | dev:NAME]... -- COMMAND...
//                                             COMMAND as UID in namespaces of its own, with what is named and a tap
//   host give PID ro|rw:SOURCE:DEST...        SOURCEs inside the jail of PID
//   host ahead FILE TOUCHED                   what TOUCHED lists of FILE, read before anybody waits for it
//   host holes FILE                           where FILE has no data, a MiB or more of it
//   host ram PID PARENT TO TOUCHED            as TO, the file PARENT as PID, which has it mapped, changed it
//   host call SOCKET JSON [DESCRIPTOR]...     one call of a gVisor control server, with descriptors; prints its answer
//
// Errors: one line on standard error, exit code 1.
#define _GNU_SOURCE
#include "host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *what, const char *path) {
	fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

int open_or_fail(const char *path, int flags) {
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0) fail("open", path);
	return fd;
}

int run_verb(int argc, char **argv) {
	const char *verb = argc > 0 ? argv[0] : "";
	if (!strcmp(verb, "snapshot") && (argc == 3 || argc == 4)) snapshot(argv[1], argv[2], argc == 4);
	else if (!strcmp(verb, "delete") && argc == 2) delete_subvolume(argv[1]);
	else if (!strcmp(verb, "sync") && argc == 2) sync_pool(argv[1]);
	else if (!strcmp(verb, "begin") && argc == 2) begin_writing(argv[1]);
	else if (!strcmp(verb, "mount") && argc == 5) mount_disk(argv[1], argv[2], argv[3], argv[4]);
	else if (!strcmp(verb, "check") && argc == 2) check_disk(argv[1]);
	else if (!strcmp(verb, "repair") && argc == 3) repair(argv[1], argv[2]);
	else if (!strcmp(verb, "unmount") && argc > 1) for (int i = 1; i < argc; i++) unmount(argv[i]);
	else if (!strcmp(verb, "cut") && argc == 2) cut(argv[1]);
	else if (!strcmp(verb, "launch") && argc > 3) launch(argc - 1, argv + 1);
	else if (!strcmp(verb, "reroot") && argc >= 3) reroot(argc - 1, argv + 1);
	else if (!strcmp(verb, "jail") && argc > 10) jail(argc - 1, argv + 1);
	else if (!strcmp(verb, "give") && argc > 2) give(argc - 1, argv + 1);
	else if (!strcmp(verb, "ahead") && argc == 3) read_ahead(argv[1], argv[2]);
	else if (!strcmp(verb, "holes") && argc == 2) holes(argv[1]);
	else if (!strcmp(verb, "ram") && argc == 6) save_ram(argv[1], argv[2], argv[3], argv[4], argv[5]);
	else if (!strcmp(verb, "call") && argc >= 3) call(argc - 1, argv + 1);
	else {
		fprintf(stderr, "host: no such verb, or a wrong number of arguments: %s\n", verb);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv) {
	if (argc == 2 && !strcmp(argv[1], "serve")) return serve();
	return run_verb(argc - 1, argv + 1);
}
