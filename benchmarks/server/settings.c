#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct settings settings;
struct counters counters;

void sleep_us(long microseconds) {
    if (microseconds <= 0)
        return;
    struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *or_exit(void *memory) {
    if (!memory) {
        perror("out of memory");
        exit(EXIT_FAILURE);
    }
    return memory;
}

void *allocate(size_t size) {
    return or_exit(malloc(size ? size : 1));
}

void *allocate_zeroed(size_t size) {
    return or_exit(calloc(1, size ? size : 1));
}

char *duplicate(const char *text) {
    return or_exit(strdup(text));
}
