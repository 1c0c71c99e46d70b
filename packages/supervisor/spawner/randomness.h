#pragma once
#include "wire.h"

/* RESEED of wire.h. Returns an errno; ENOTTY where the randomness is not this kernel's own, as under gVisor. */
int reseed(struct reader *);
