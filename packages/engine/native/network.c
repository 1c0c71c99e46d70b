// The host's own connections to a guest.
#define _GNU_SOURCE
#include "host.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

static int netlink(void) {
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0) fail("socket diagnosis", "");
	return fd;
}

static void ask(int fd, uint16_t type, uint16_t flags, struct inet_diag_req_v2 body) {
	struct request request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags}, .body = body};
	if (send(fd, &request, sizeof request, 0) < 0) fail("ask for", "connections");
}

// An IPv4 destination is the last of four words in a mapped IPv6 one.
static int goes_to(const struct inet_diag_msg *one, uint32_t address) {
	if (one->idiag_family == AF_INET) return one->id.idiag_dst[0] == address;
	return one->id.idiag_dst[0] == 0 && one->id.idiag_dst[1] == 0 && one->id.idiag_dst[2] == htonl(0xffff) && one->id.idiag_dst[3] == address;
}

// Whether it was still there.
static int destroy(int fd, const struct inet_diag_msg *one) {
	struct { struct nlmsghdr header; struct nlmsgerr error; char rest[256]; } answer;
	ask(fd, SOCK_DESTROY, NLM_F_ACK, (struct inet_diag_req_v2){.sdiag_family = one->idiag_family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u, .id = one->id});
	if (recv(fd, &answer, sizeof answer, 0) < 0) fail("reset", "a connection");
	errno = -answer.error.error;
	// It may have ended by itself meanwhile.
	if (errno != 0 && errno != ENOENT) fail("reset", "a connection");
	return errno == 0;
}

void cut(const char *text) {
	struct in_addr address;
	if (inet_pton(AF_INET, text, &address) != 1) {
		errno = EINVAL;
		fail("cut", text);
	}
	int dump = netlink(), kill = netlink(), count = 0;
	static const uint8_t families[] = {AF_INET, AF_INET6};
	for (size_t i = 0; i < sizeof families; i++) {
		ask(dump, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, (struct inet_diag_req_v2){.sdiag_family = families[i], .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u & ~(1u << TCP_LISTEN)});
		for (int more = 1; more;) {
			static char buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
			ssize_t got = recv(dump, buffer, sizeof buffer, 0);
			if (got < 0) fail("list", "connections");
			int left = (int)got;
			for (struct nlmsghdr *at = (struct nlmsghdr *)buffer; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
				if (at->nlmsg_type == NLMSG_DONE) more = 0;
				else if (at->nlmsg_type == NLMSG_ERROR) {
					errno = -((struct nlmsgerr *)NLMSG_DATA(at))->error;
					fail("list", "connections");
				} else if (goes_to(NLMSG_DATA(at), address.s_addr)) count += destroy(kill, NLMSG_DATA(at));
			}
		}
	}
	close(dump);
	close(kill);
	printf("%d\n", count);
}
