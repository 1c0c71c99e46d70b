/* Extended attributes, which Node cannot reach. */
#pragma once
#include "wire.h"

/* All answer 0 or an errno; paths are followed through symbolic links. */
int set_attribute(struct reader *);
int get_attributes(struct reader *, struct writer *);
int remove_attributes(struct reader *);
int copy_attributes(struct reader *);
