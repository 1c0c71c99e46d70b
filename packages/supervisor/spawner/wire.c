#include "wire.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

uint32_t take_u32(struct reader *r) {
	uint32_t value = 0;
	if (r->bad || r->end - r->at < 4) {
		r->bad = true;
		return 0;
	}
	memcpy(&value, r->at, 4);
	r->at += 4;
	return value;
}

const char *take_string(struct reader *r) {
	uint32_t length = take_u32(r);
	if (r->bad || (size_t)(r->end - r->at) < (size_t)length + 1 || r->at[length] != '\0') {
		r->bad = true;
		return "";
	}
	const char *string = (const char *)r->at;
	r->at += length + 1;
	return string;
}

const char **take_list(struct reader *r) {
	uint32_t count = take_u32(r);
	/* Each string takes at least five bytes, which bounds what a broken count can make us allocate. */
	if (r->bad || count > (size_t)(r->end - r->at) / 5) r->bad = true;
	const char **list = calloc((r->bad ? 0 : count) + 1, sizeof *list);
	if (!list) abort();
	for (uint32_t i = 0; !r->bad && i < count; i++) list[i] = take_string(r);
	return list;
}

void put_bytes(struct writer *w, const void *bytes, size_t length) {
	if (w->used == 0) w->used = 4;
	if (w->used + length > w->size) {
		w->size = (w->used + length) * 2;
		w->bytes = realloc(w->bytes, w->size);
		if (!w->bytes) abort();
	}
	memcpy(w->bytes + w->used, bytes, length);
	w->used += length;
}

void put_u32(struct writer *w, uint32_t value) { put_bytes(w, &value, 4); }

void put_string(struct writer *w, const char *string, size_t length) {
	put_u32(w, (uint32_t)length);
	put_bytes(w, string, length);
	put_bytes(w, "", 1);
}

void send_frame(struct writer *w, int socket) {
	uint32_t length = (uint32_t)(w->used - 4);
	memcpy(w->bytes, &length, 4);
	for (size_t sent = 0; sent < w->used;) {
		ssize_t n = send(socket, w->bytes + sent, w->used - sent, MSG_NOSIGNAL);
		if (n > 0) {
			sent += (size_t)n;
		} else if (errno == EAGAIN) {
			/* The supervisor made its end non-blocking, and with a socketpair that is its end only; still, be sure. */
			poll(&(struct pollfd){.fd = socket, .events = POLLOUT}, 1, -1);
		} else if (errno != EINTR) {
			break;
		}
	}
	w->used = 0;
}
