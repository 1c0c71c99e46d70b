/*
 * The conversation with the supervisor, over the inherited socket SUPERVISOR_FD.
 *
 * Every frame is `u32 length` and then that many bytes; all integers are little-endian u32.
 *   request   id, op, arguments     ids are the supervisor's choice, never 0
 *   answer    id, errno, results    results only when errno is 0 (SPAWN says more, see there)
 *   event     0, EVENT_EXITED, pid, wait status, then of stdout and stderr how many bytes waited to be read, UNKNOWN with a terminal
 * A string is its length, its bytes and one NUL that the length leaves out; a list is its count, then its items.
 *
 *   SPAWN      flags uid gid columns rows, cwd, file, argv[], environment[], groups[] (u32), note
 *              -> pid, stdin, stdout, stderr: descriptors of this process, NO_FD where there is none. The supervisor
 *                 opens /proc/<spawner>/fd/<n> and then sends OPENED: until that, we hold both ends of each pipe.
 *              -> on failure: errno, and the stage that failed (enum stage)
 *   OPENED     pid ->               closes the program's ends; the supervisor's stay open here too
 *   CLOSE_STDIN pid ->              closes our copy of the end that the supervisor writes to
 *   RENOUNCE   pid ->               empties its note: of what still comes of it, nothing needs to be kept
 *   RELEASE    pid ->               it has ended, and so has its output: closes all, forgets it
 *   LIST       ->                   every process not released, for a supervisor that takes the place of another:
 *              pid, 1 and its wait status if it has ended or 0 and 0, the bytes that wait as for EVENT_EXITED, stdin, stdout, stderr as for SPAWN, note.
 *              What the one before had not opened counts as opened.
 *   SIGNAL     pid signal ->        to the process group, if the process is ours and not yet reaped. SIGKILL of one with a terminal ends
 *                                 what that runs too
 *   RESIZE     pid columns rows ->
 *   SYNC       ->                   answers when sync(2) has returned; other requests go on meanwhile
 *   HOSTNAME   name ->
 *   CLOCK      seconds nanoseconds ->
 *   RESEED     words[] (u32) ->     stirs the words into the kernel's randomness, and has it begin anew from there
 *   SET_XATTR  path, name, value ->
 *   GET_XATTRS path, prefix -> names and values in turn, of every attribute whose name starts with the prefix
 *   REMOVE_XATTRS path, prefix ->   those whose name starts with the prefix
 *   COPY_XATTRS from, to, except -> what users attach (access lists too), but not what starts with `except`
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUPERVISOR_FD = 3, MAX_FRAME = 16 << 20 };
enum op { SPAWN = 1, OPENED, SIGNAL, RESIZE, SYNC, HOSTNAME, CLOCK, SET_XATTR, GET_XATTRS, CLOSE_STDIN, RENOUNCE, RELEASE, LIST, RESEED, REMOVE_XATTRS, COPY_XATTRS };
enum event { EVENT_EXITED = 1 };
enum spawn_flags { FLAG_PTY = 1, FLAG_STDIN = 2 };
enum stage { STAGE_SETUP = 1, STAGE_IDENTITY, STAGE_CWD, STAGE_EXEC };
#define NO_FD UINT32_MAX
#define UNKNOWN UINT32_MAX

/* A frame being read. After any take_ past the end, or of a broken string, `bad` stays true. */
struct reader {
	const unsigned char *at, *end;
	bool bad;
};
uint32_t take_u32(struct reader *);
const char *take_string(struct reader *);
/* A NULL-terminated array of strings; the caller frees the array. */
const char **take_list(struct reader *);

/* A frame being written; begins with room for its length. */
struct writer {
	unsigned char *bytes;
	size_t used, size;
};
void put_u32(struct writer *, uint32_t);
void put_bytes(struct writer *, const void *, size_t);
void put_string(struct writer *, const char *, size_t);
/* Sends the frame and empties the writer. A supervisor that is gone is noticed by who reads, not here. */
void send_frame(struct writer *, int socket);
