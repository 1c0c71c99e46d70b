#define _GNU_SOURCE
#include "init.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* As protocol/src/guest.ts has them: the same in every sandbox. */
#define ADDRESS "10.0.0.2"
#define NETMASK "255.255.255.252"
#define GATEWAY "10.0.0.1"

static struct sockaddr address(const char *text) {
	struct sockaddr_in in = {.sin_family = AF_INET};
	inet_pton(AF_INET, text, &in.sin_addr);
	struct sockaddr any;
	memcpy(&any, &in, sizeof any);
	return any;
}

static void ask(int fd, unsigned long request, struct ifreq *interface, const char *what) {
	if (ioctl(fd, request, interface) < 0) die(what, interface->ifr_name);
}

/* There is no IPv6 out of a sandbox; without this, the first thing to leave it would be a search for neighbours. */
static void disable_ipv6(const char *setting) {
	int fd = open(setting, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return; /* A kernel without it. */
	if (write(fd, "1", 1) < 0) die("write", setting);
	close(fd);
}

void configure_network(void) {
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) die("open", "a socket");
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	ask(fd, SIOCSIFFLAGS, &lo, "bring up");
	disable_ipv6("/proc/sys/net/ipv6/conf/eth0/disable_ipv6");
	struct ifreq eth0 = {.ifr_name = "eth0", .ifr_addr = address(ADDRESS)};
	ask(fd, SIOCSIFADDR, &eth0, "set the address of");
	eth0.ifr_netmask = address(NETMASK);
	ask(fd, SIOCSIFNETMASK, &eth0, "set the netmask of");
	eth0.ifr_flags = IFF_UP | IFF_RUNNING;
	ask(fd, SIOCSIFFLAGS, &eth0, "bring up");
	struct rtentry route = {
	    .rt_dst = address("0.0.0.0"), .rt_genmask = address("0.0.0.0"), .rt_gateway = address(GATEWAY), .rt_flags = RTF_UP | RTF_GATEWAY};
	if (ioctl(fd, SIOCADDRT, &route) < 0) die("route by", GATEWAY);
	close(fd);
}
