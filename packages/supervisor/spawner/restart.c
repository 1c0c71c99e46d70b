/*
 * What a machine's `reboot` is where no init system has one of its own. It needs a kernel of the sandbox's own, which a
 * microVM has; the engine starts the machine again from its disk.
 */
#define _GNU_SOURCE
#include "restart.h"
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int restart(const char *called) {
	sync();
	reboot(strcmp(called, "reboot") == 0 ? RB_AUTOBOOT : RB_POWER_OFF);
	perror(called);
	return 1;
}
