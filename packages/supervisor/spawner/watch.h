#pragma once
#include <stdbool.h>

/* Runs until it is killed or nobody reads its output. Returns an exit code. */
int watch(const char *path, bool recursive);
