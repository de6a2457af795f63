// The objects, and the multipart uploads under way. All functions may be called from any thread.
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_PARTS 10000

// A run of bytes: what one request has brought. Only its owner may extend it; afterwards it does not change.
struct segment;

struct segment *segment_new(void);
void segment_free(struct segment *segment);  // NULL is allowed
size_t segment_size(const struct segment *segment);

// Returns where the next bytes go, and in *room how many fit there. expected_size is that of the whole segment, or 0
// when it is unknown; small ones get no whole block.
char *segment_tail(struct segment *segment, size_t expected_size, size_t *room);
void segment_extend(struct segment *segment, size_t bytes);

// Returns the bytes from an offset on, and in *available how many of them are in one piece.
const char *segment_at(const struct segment *segment, size_t offset, size_t *available);

// What is stored with the content of an object.
struct description {
    char content_type[128];
    char crc32[64];       // as sent by the client, in base64; empty if it sent none
    char metadata[8192];  // header lines, each with its line end
};

struct object {
    char *key;
    struct description description;
    uint64_t etag;
    size_t size;
    size_t segment_count;
    struct segment **segments;
    // The rest is the store's own.
    int references;
    struct object *next;
};

uint64_t new_etag(void);

// Stores an object of one segment, which the store now owns.
void store_put(const char *key, const struct description *description, struct segment *content, uint64_t etag);

// Returns an object to read from, which stays as it is until it is released; NULL if there is none.
struct object *store_get(const char *key);
void store_release(struct object *object);

void store_delete(const char *key);
void store_clear(void);

// Starts a multipart upload, and returns its number.
uint64_t upload_start(const char *key, const struct description *description);

// Both own what they are given, and return false if there is no such upload.
bool upload_put_part(uint64_t upload, int number, struct segment *content);
bool upload_finish(uint64_t upload, uint64_t etag, size_t *part_count);
bool upload_abort(uint64_t upload);

#endif
