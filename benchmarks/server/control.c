// The server's own requests: /__set?name=value, /__reset and /__stats. Each answers with the counters.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "blocks.h"
#include "services.h"
#include "settings.h"

#define BLOCKS_PER_MIB (((size_t)1 << 20) / BLOCK_BYTES)

static void set(const struct request *request, const char *name, atomic_long *setting) {
    char value[32];
    if (request_argument(request, name, value, sizeof value))
        *setting = atol(value);
}

static void apply_settings(const struct request *request) {
    char value[32];
    set(request, "kms_delay_us", &settings.kms_delay_us);
    set(request, "round_trip_us", &settings.round_trip_us);
    set(request, "bytes_per_second", &settings.bytes_per_second);
    if (request_argument(request, "prepare_mib", value, sizeof value))
        blocks_prepare(strtoull(value, NULL, 10) * BLOCKS_PER_MIB);
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

bool control_serve(struct connection *connection, const struct request *request) {
    if (!strcmp(request->path, CONTROL_PREFIX "reset"))
        store_clear();
    if (!strcmp(request->path, CONTROL_PREFIX "set"))
        apply_settings(request);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    char content[256];
    snprintf(content, sizeof content,
             "{\"cpu_seconds\":%.6f,\"requests\":%llu,\"kms_requests\":%llu,\"bytes_in\":%llu,\"bytes_out\":%llu}",
             seconds(usage.ru_utime) + seconds(usage.ru_stime), counters.requests, counters.kms_requests,
             counters.bytes_in, counters.bytes_out);
    return reply(connection, request, 200, "Content-Type: application/json\r\n", content);
}
