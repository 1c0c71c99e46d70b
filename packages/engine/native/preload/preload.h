#include <sys/types.h>

// QEMU has opened `path` with these flags.
void note_opened(const char *path, int flags, int fd);

// What stood in for the files of a guest is replaced by them; -1 with errno when one is not there.
int replace_stand_ins(void);

// The descriptor of the guest's memory; -1 before there is one.
extern int memory_fd;
