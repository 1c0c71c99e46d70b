/* Extended attributes, which Node cannot reach. */
#pragma once
#include "wire.h"

/* Both answer 0 or an errno; paths are followed through symbolic links. */
int set_attribute(struct reader *);
int get_attributes(struct reader *, struct writer *);
