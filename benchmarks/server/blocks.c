#define _GNU_SOURCE
#include "blocks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "settings.h"

// How much memory is asked of the system at a time.
#define SLAB_BYTES (64 * BLOCK_BYTES)

// A block that nobody uses holds the pointer to the next one.
struct free_block {
    struct free_block *next;
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct free_block *pool;
static size_t pool_bytes;
static size_t pool_limit = (size_t)8 << 30;

static void add_slab(void) {
    pool_bytes += SLAB_BYTES;
    if (pool_bytes > pool_limit) {
        fprintf(stderr, "The objects need more than %zu MiB of memory.\n", pool_limit >> 20);
        exit(EXIT_FAILURE);
    }
    char *slab = mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED) {
        perror("mmap");
        exit(EXIT_FAILURE);
    }
    madvise(slab, SLAB_BYTES, MADV_HUGEPAGE);
    for (size_t offset = 0; offset < SLAB_BYTES; offset += BLOCK_BYTES) {
        struct free_block *block = (struct free_block *)(void *)(slab + offset);
        block->next = pool;
        pool = block;
    }
}

char *block_take(void) {
    pthread_mutex_lock(&pool_lock);
    if (!pool)
        add_slab();
    struct free_block *block = pool;
    pool = block->next;
    pthread_mutex_unlock(&pool_lock);
    return (char *)block;
}

void block_give_back(char *block) {
    struct free_block *freed = (struct free_block *)(void *)block;
    pthread_mutex_lock(&pool_lock);
    freed->next = pool;
    pool = freed;
    pthread_mutex_unlock(&pool_lock);
}

void blocks_set_limit(size_t bytes) {
    pool_limit = bytes;
}

void blocks_prepare(size_t count) {
    char **blocks = allocate(count * sizeof *blocks);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = block_take();
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    for (size_t i = 0; i < count; i++)
        block_give_back(blocks[i]);
    free(blocks);
}
