// Preloaded into QEMU: one that waits for a state has the memory already that it is going to allocate. As it becomes a
// machine it touches a thousand new pages, which cost two to five microseconds each on a host that is a virtual machine.
#define _GNU_SOURCE
#include "preload.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// What it allocates until the guest runs, and some more.
#define AHEAD ((size_t)12 << 20)
#define MMAP_THRESHOLD (128 << 10) // glibc's own

static int waits;

__attribute__((constructor)) static void populate(void) {
	waits = getenv("DORMICE_WAITS") != NULL;
	if (!waits) return;
	// All of it from the heap, so that what is freed here is what is used there.
	mallopt(M_MMAP_THRESHOLD, 2 * AHEAD);
	mallopt(M_TRIM_THRESHOLD, 2 * AHEAD);
	char *ahead = malloc(AHEAD);
	if (!ahead) return;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)ahead + page - 1) & ~(page - 1);
	madvise((void *)first, AHEAD - page, MADV_POPULATE_WRITE); // Linux 5.14; before it, nothing is won.
	free(ahead);
}

void goes_on(void) {
	if (!waits) return;
	waits = 0;
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	mallopt(M_TRIM_THRESHOLD, MMAP_THRESHOLD);
}

// QEMU gives back what it does not use whenever it is idle, as it is while it waits.
int malloc_trim(size_t keep) {
	int (*really)(size_t) = (int (*)(size_t))dlsym(RTLD_NEXT, "malloc_trim");
	return waits || !really ? 0 : really(keep);
}
