/* `sudo` where no program can be set-uid: see elevate.c and sudo.c. */
#pragma once

#define ELEVATE_SOCKET "/run/dormice/elevate.sock"
enum { ELEVATE_FDS = 3 };

/* Whether this kernel ignores set-uid bits, as gVisor does. */
int needs_elevating(void);
/* Serves ELEVATE_SOCKET for ever, a child for each connection. */
void elevate(void);
/* The program `sudo`: its exit code. */
int sudo(int argc, char **argv);
