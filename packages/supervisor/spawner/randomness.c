/*
 * A kernel whose memory was stored goes on with the random numbers of that moment, and so does everyone who goes on from
 * the same state: only what the host sends tells them apart.
 */
#define _GNU_SOURCE
#include "randomness.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WORDS = 64 };

int reseed(struct reader *r) {
	struct {
		struct rand_pool_info info;
		uint32_t words[WORDS];
	} pool;
	uint32_t count = take_u32(r);
	if (count > WORDS) return EINVAL;
	for (uint32_t i = 0; i < count; i++) pool.words[i] = take_u32(r);
	if (r->bad) return EINVAL;
	pool.info.buf_size = (int)(count * sizeof *pool.words);
	pool.info.entropy_count = pool.info.buf_size * 8;
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0) return errno;
	/* Without the second, what was stirred in would only count a minute later. */
	int error = ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0 ? errno : 0;
	close(fd);
	return error;
}
