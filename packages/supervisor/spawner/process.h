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
int close_stdin(pid_t);
int renounce(pid_t);
int release(pid_t);
int signal_group(pid_t, int signal);
int resize(pid_t, unsigned columns, unsigned rows);
/* Whether the reaped pid was one of ours to report; its status is kept until it is released. */
bool note_end(pid_t, int status);
/* The event that says so. */
void put_end(struct writer *, pid_t, int status);
/* Answers LIST. */
void list_processes(struct writer *, uint32_t id);
