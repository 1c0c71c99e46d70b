// What the verbs of the helper share. A verb that fails says why on standard error, in one line, and ends with 1.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/types.h>

void fail(const char *what, const char *path);
int open_or_fail(const char *path, int flags);

// Runs one verb to its end; its first argument is its name.
int run_verb(int argc, char **argv);
// Runs the verbs that come on standard input, each in a process of its own, until it closes.
int serve(void);

// disk.c
void snapshot(const char *from, const char *to, int read_only);
void delete_subvolume(const char *path);
void sync_pool(const char *dir);
void begin_writing(const char *path);
void mount_disk(const char *image, const char *disk, const char *root, const char *lower);
void unmount(const char *dir);

// ext4.c
int is_hurt(int fd);
// Fails with "Structure needs cleaning" where the image must be repaired before it is used.
void check_disk(const char *image);
void repair(const char *image, const char *user);

// network.c
void cut(const char *address);

// log.c
// Where to write what belongs into the log at `path`, which does not grow without end.
int open_log(const char *path);

// machine.c
void launch(int argc, char **argv);
void reroot(int argc, char **argv);
void call(int argc, char **argv);

// A mount of what is at `path`, nowhere yet.
int copy_of_mount(const char *path, unsigned int flags, unsigned long long attributes);
// Makes `path` and what leads to it, of the kind that `like` is.
void make_mount_point(const char *path, const char *what, mode_t like);

// jail.c
void jail(int argc, char **argv);
void give(int argc, char **argv);

// ram.c
void read_ahead(const char *path, const char *touched);
void holes(const char *path);
void save_ram(const char *pid, const char *parent, const char *to, const char *touched, const char *map);
