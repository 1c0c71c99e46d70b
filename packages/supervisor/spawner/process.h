/* The processes started on the supervisor's behalf. */
#pragma once
#include "wire.h"
#include <sys/types.h>

/* Once, before the first spawn: what every child inherits. */
void prepare_spawning(void);
/* Answers SPAWN. */
void spawn(struct reader *, struct writer *, uint32_t id);
/* 0 or an errno. */
int opened(pid_t);
int signal_group(pid_t, int signal);
int resize(pid_t, unsigned columns, unsigned rows);
/* Whether the reaped pid was one of ours to report; forgets it. */
bool forget(pid_t);
/* After the supervisor has died: nobody will open these any more. */
void close_held(void);
