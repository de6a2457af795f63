// A pool of memory blocks for the content of objects.
//
// Fresh pages cost the kernel more time than a copy does. So blocks come in huge pages where the system has them, and
// go back to the pool, not to the system: the second object of a size costs no page faults.
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stddef.h>

#define BLOCK_BYTES ((size_t)1 << 20)

// Ends the program, with a message, when the pool has outgrown its limit.
char *block_take(void);
void block_give_back(char *block);

void blocks_set_limit(size_t bytes);

// Has so many blocks ready, their pages touched.
void blocks_prepare(size_t count);

#endif
