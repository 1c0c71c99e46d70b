/* Pseudo-terminals: the master stays with us; a relay of its own carries bytes between it and two pipes. */
#pragma once
#include <sys/types.h>

/* The master, or -1 with errno. */
int open_terminal(unsigned columns, unsigned rows);
/* In a session leader without a terminal: the slave of `master` as controlling terminal and stdio. */
int take_terminal(int master);
int resize_terminal(int master, unsigned columns, unsigned rows);
/* SIGWINCH for every process of a session: Linux sends it by itself on a resize, gVisor does not. */
void tell_resized(pid_t session);
/*
 * Ends what a terminal runs, as its window's closing would and more surely: what is in its foreground, or has it as
 * input or output, is killed; the rest of its session is told by SIGHUP, so that what was started with nohup stays.
 */
void end_session(int master, pid_t session);
pid_t start_relay(int master, int input, int output);
