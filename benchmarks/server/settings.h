// What can be set while the server runs, what it counts, and the delays that follow from the settings.
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdatomic.h>
#include <stddef.h>

// All are off at zero.
struct settings {
    atomic_long kms_delay_us;      // how long a call of the key service takes
    atomic_long round_trip_us;     // the delay before every answer, "100 Continue" included
    atomic_long bytes_per_second;  // the bandwidth of each connection, in both directions together
};

struct counters {
    atomic_ullong requests;      // of S3
    atomic_ullong kms_requests;  // of the key service
    atomic_ullong bytes_in;      // of objects and parts
    atomic_ullong bytes_out;
};

extern struct settings settings;
extern struct counters counters;

void sleep_us(long microseconds);

// A monotonic clock in seconds.
double now_seconds(void);

// Like malloc, calloc and strdup, but without memory the program ends: a benchmark can't go on with less.
void *allocate(size_t size);
void *allocate_zeroed(size_t size);
char *duplicate(const char *text);

#endif
