#pragma once
#include <sys/types.h>

/* Says on the console what failed and why, and ends the machine: a guest without its root is no use to anybody. */
_Noreturn void die(const char *what, const char *name);
void make_dir(const char *path, mode_t mode);
void mount_or_die(const char *source, const char *dir, const char *type, unsigned long flags, const char *options);

/* Loads the modules that /modules/order names, in its order, and frees the memory of their files. */
void load_modules(void);

/* Finds a drive by the serial number that the host gave it: its node below /dev, or NULL where there is none. */
const char *find_drive(const char *serial);

/* Puts the root file system together on `root`, with what a machine has mounted in it. */
void make_root(const char *root);

/* Brings up lo and eth0, which has the same address in every sandbox. */
void configure_network(void);
