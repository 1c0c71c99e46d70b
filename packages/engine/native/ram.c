// A guest's memory, seen from outside. It is a private mapping of a file that never changes: pages the guest wrote are
// anonymous, all others are the file's still.
#define _GNU_SOURCE
#include "host.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ULL
#define PRESENT (1ULL << 63)
#define SWAPPED (1ULL << 62)
#define OF_FILE (1ULL << 61)
#define BATCH 256 // pages read and written at once

struct copy {
	int memory, to, touched;
	const char *name;
	uint64_t written, zero, touched_from, touched_length;
	unsigned char *map; // a bit for each page of the file, the lowest of each byte first: whether it was written
};

static const char zeroes[PAGE];

static void write_at(struct copy *copy, const char *from, uint64_t length, uint64_t at) {
	while (length > 0) {
		ssize_t put = pwrite(copy->to, from, length, (off_t)at);
		if (put < 0 && errno == EINTR) continue;
		if (put <= 0) fail("write", copy->name);
		from += put, at += (uint64_t)put, length -= (uint64_t)put;
	}
}

// Zeroes that the file has already need not be stored.
static void zero_at(struct copy *copy, uint64_t length, uint64_t at) {
	copy->zero += length / PAGE;
	off_t data = lseek(copy->to, (off_t)at, SEEK_DATA);
	if (data < 0 || (uint64_t)data >= at + length) return;
	if (fallocate(copy->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length) < 0) fail("make a hole in", copy->name);
}

static void copy_pages(struct copy *copy, uint64_t address, uint64_t at, uint64_t pages) {
	static char buffer[BATCH * PAGE];
	for (uint64_t page = at / PAGE; page < at / PAGE + pages; page++) copy->map[page / 8] |= (unsigned char)(1 << page % 8);
	for (uint64_t done = 0; done < pages;) {
		uint64_t count = pages - done < BATCH ? pages - done : BATCH;
		ssize_t got = pread(copy->memory, buffer, count * PAGE, (off_t)(address + done * PAGE));
		if (got != (ssize_t)(count * PAGE)) fail("read the memory for", copy->name);
		for (uint64_t i = 0; i < count;) {
			uint64_t from = i;
			int zero = memcmp(buffer + i * PAGE, zeroes, PAGE) == 0;
			while (i < count && (memcmp(buffer + i * PAGE, zeroes, PAGE) == 0) == zero) i++;
			if (zero) zero_at(copy, (i - from) * PAGE, at + (done + from) * PAGE);
			else {
				write_at(copy, buffer + from * PAGE, (i - from) * PAGE, at + (done + from) * PAGE);
				copy->written += i - from;
			}
		}
		done += count;
	}
}

// Runs of pages that were used at all, a line each: what the next start will want first. Small gaps are joined.
static void note_touched(struct copy *copy, uint64_t at, uint64_t length) {
	if (copy->touched_length > 0 && at <= copy->touched_from + copy->touched_length + 16 * PAGE) {
		copy->touched_length = at + length - copy->touched_from;
		return;
	}
	if (copy->touched_length > 0 && dprintf(copy->touched, "%llu %llu\n", (unsigned long long)copy->touched_from, (unsigned long long)copy->touched_length) < 0)
		fail("write what was touched of", copy->name);
	copy->touched_from = at;
	copy->touched_length = length;
}

static void copy_mapping(struct copy *copy, int pagemap, uint64_t start, uint64_t end, uint64_t offset) {
	static uint64_t entries[65536];
	for (uint64_t address = start; address < end;) {
		uint64_t count = (end - address) / PAGE;
		if (count > sizeof entries / sizeof *entries) count = sizeof entries / sizeof *entries;
		if (pread(pagemap, entries, count * 8, (off_t)(address / PAGE * 8)) != (ssize_t)(count * 8)) fail("read the page map for", copy->name);
		for (uint64_t i = 0; i < count;) {
			if (!(entries[i] & (PRESENT | SWAPPED))) {
				i++;
				continue;
			}
			uint64_t from = i;
			int own = (entries[i] & OF_FILE) == 0;
			while (i < count && (entries[i] & (PRESENT | SWAPPED)) && ((entries[i] & OF_FILE) == 0) == own) i++;
			uint64_t at = offset + (address - start) + from * PAGE;
			note_touched(copy, at, (i - from) * PAGE);
			if (own) copy_pages(copy, address + from * PAGE, at, i - from);
		}
		address += count * PAGE;
	}
}

// Has the kernel read the parts of FILE that TOUCHED lists, as save_ram wrote them, before anybody waits for them.
void read_ahead(const char *path, const char *touched) {
	int fd = open_or_fail(path, O_RDONLY | O_NOFOLLOW);
	FILE *list = fopen(touched, "re");
	if (!list) fail("open", touched);
	long long from, length;
	while (fscanf(list, "%lld %lld", &from, &length) == 2)
		if (posix_fadvise(fd, from, length, POSIX_FADV_WILLNEED) != 0) fail("read ahead of", path);
}

// Prints a line for each run of a MiB or more, from and to, in which FILE has no data.
void holes(const char *path) {
	int fd = open_or_fail(path, O_RDONLY | O_NOFOLLOW);
	off_t end = lseek(fd, 0, SEEK_END), at = 0;
	while (at < end) {
		off_t from = lseek(fd, at, SEEK_HOLE), to = from < 0 ? -1 : lseek(fd, from, SEEK_DATA);
		if (from < 0) fail("look for holes in", path);
		if (to < 0) to = end;
		if (to - from >= 1 << 20) printf("%lld %lld\n", (long long)from, (long long)to);
		at = to;
	}
}

// Writes to TO, a new file, what PARENT is and PID, which has PARENT mapped and stands still, changed of it; and to
// TOUCHED which parts of it were used, to MAP a bit for each page, set if it is PID's. Prints how many pages were written
// and how many had become zero.
void save_ram(const char *pid, const char *parent, const char *to, const char *touched, const char *map) {
	char path[64], line[4352];
	struct stat info;
	int from = open_or_fail(parent, O_RDONLY), map_file = open_or_fail(map, O_WRONLY | O_CREAT | O_TRUNC);
	struct copy copy = {.name = to, .to = open_or_fail(to, O_RDWR | O_CREAT | O_EXCL), .touched = open_or_fail(touched, O_WRONLY | O_CREAT | O_EXCL)};
	if (ioctl(copy.to, FICLONE, from) < 0) fail("copy", parent);
	if (fstat(from, &info) < 0) fail("look at", parent);
	size_t map_length = ((size_t)info.st_size / PAGE + 7) / 8;
	copy.map = calloc(map_length, 1);
	if (!copy.map) fail("make room for a map of", parent);
	snprintf(path, sizeof path, "/proc/%s/pagemap", pid);
	int pagemap = open_or_fail(path, O_RDONLY);
	snprintf(path, sizeof path, "/proc/%s/mem", pid);
	copy.memory = open_or_fail(path, O_RDONLY);
	snprintf(path, sizeof path, "/proc/%s/maps", pid);
	FILE *maps = fopen(path, "re");
	if (!maps) fail("open", path);
	uint64_t mapped = 0;
	while (fgets(line, sizeof line, maps)) {
		unsigned long long start, end, offset, inode;
		if (sscanf(line, "%llx-%llx %*s %llx %*s %llu", &start, &end, &offset, &inode) != 4) continue;
		if (inode != info.st_ino || offset + (end - start) > (unsigned long long)info.st_size) continue;
		copy_mapping(&copy, pagemap, start, end, offset);
		mapped += end - start;
	}
	if (mapped != (uint64_t)info.st_size) {
		errno = ENOENT;
		fail("find the mapping of", parent);
	}
	note_touched(&copy, ~0ULL / 2, PAGE); // Ends the last run.
	if (write(map_file, copy.map, map_length) != (ssize_t)map_length) fail("write", map);
	printf("%llu %llu\n", (unsigned long long)copy.written, (unsigned long long)copy.zero);
}
