#include "store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"
#include "settings.h"

// --- segments --------------------------------------------------------------------------------------------------------

// Segments up to this size are allocated by themselves.
#define SMALL_BYTES ((size_t)64 << 10)

struct segment {
    size_t size;
    // Either a small one's bytes, or blocks.
    char *small;
    size_t small_capacity;
    char **blocks;
    size_t block_count;
    size_t block_capacity;
};

struct segment *segment_new(void) {
    return allocate_zeroed(sizeof(struct segment));
}

void segment_free(struct segment *segment) {
    if (!segment)
        return;
    for (size_t i = 0; i < segment->block_count; i++)
        block_give_back(segment->blocks[i]);
    free(segment->blocks);
    free(segment->small);
    free(segment);
}

size_t segment_size(const struct segment *segment) {
    return segment->size;
}

static void add_block(struct segment *segment) {
    if (segment->block_count == segment->block_capacity) {
        segment->block_capacity = segment->block_capacity ? 2 * segment->block_capacity : 8;
        char **larger = allocate(segment->block_capacity * sizeof *larger);
        if (segment->block_count)
            memcpy(larger, segment->blocks, segment->block_count * sizeof *larger);
        free(segment->blocks);
        segment->blocks = larger;
    }
    segment->blocks[segment->block_count++] = block_take();
}

// Makes a small segment that got more than was expected into one of blocks.
static void move_to_blocks(struct segment *segment) {
    add_block(segment);
    memcpy(segment->blocks[0], segment->small, segment->size);
    free(segment->small);
    segment->small = NULL;
}

char *segment_tail(struct segment *segment, size_t expected_size, size_t *room) {
    if (!segment->size && !segment->small && expected_size && expected_size <= SMALL_BYTES) {
        segment->small = allocate(expected_size);
        segment->small_capacity = expected_size;
    }
    if (segment->small && segment->size < segment->small_capacity) {
        *room = segment->small_capacity - segment->size;
        return segment->small + segment->size;
    }
    if (segment->small)
        move_to_blocks(segment);
    if (segment->size == segment->block_count * BLOCK_BYTES)
        add_block(segment);
    size_t offset = segment->size % BLOCK_BYTES;
    *room = BLOCK_BYTES - offset;
    return segment->blocks[segment->block_count - 1] + offset;
}

void segment_extend(struct segment *segment, size_t bytes) {
    segment->size += bytes;
}

const char *segment_at(const struct segment *segment, size_t offset, size_t *available) {
    size_t left = segment->size - offset;
    if (segment->small) {
        *available = left;
        return segment->small + offset;
    }
    size_t in_block = BLOCK_BYTES - offset % BLOCK_BYTES;
    *available = left < in_block ? left : in_block;
    return segment->blocks[offset / BLOCK_BYTES] + offset % BLOCK_BYTES;
}

// --- objects ---------------------------------------------------------------------------------------------------------

#define BUCKET_COUNT 65536

static pthread_mutex_t store_lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *table[BUCKET_COUNT];
static atomic_ullong last_etag;

uint64_t new_etag(void) {
    return atomic_fetch_add(&last_etag, 1) + 1;
}

// FNV-1a.
static size_t bucket_of(const char *key) {
    uint32_t hash = 2166136261u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return hash % BUCKET_COUNT;
}

// Returns the link that points to an object, or the last one of its bucket. The lock must be held.
static struct object **find(const char *key) {
    struct object **link = &table[bucket_of(key)];
    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    return link;
}

static struct object *take_out(struct object **link) {
    struct object *object = *link;
    if (object)
        *link = object->next;
    return object;
}

static struct object *new_object(const char *key, const struct description *description, size_t segment_count) {
    struct object *object = allocate_zeroed(sizeof *object);
    object->key = duplicate(key);
    object->description = *description;
    object->segments = allocate(segment_count * sizeof(struct segment *));
    object->references = 1;
    return object;
}

static void add_segment(struct object *object, struct segment *segment) {
    object->segments[object->segment_count++] = segment;
    object->size += segment_size(segment);
}

// Puts an object into the table, in place of an older one.
static void publish(struct object *object, uint64_t etag) {
    object->etag = etag;
    pthread_mutex_lock(&store_lock);
    struct object **link = find(object->key);
    struct object *older = take_out(link);
    object->next = *link;
    *link = object;
    pthread_mutex_unlock(&store_lock);
    store_release(older);
}

void store_put(const char *key, const struct description *description, struct segment *content, uint64_t etag) {
    struct object *object = new_object(key, description, 1);
    add_segment(object, content);
    publish(object, etag);
}

struct object *store_get(const char *key) {
    pthread_mutex_lock(&store_lock);
    struct object *object = *find(key);
    if (object)
        object->references++;
    pthread_mutex_unlock(&store_lock);
    return object;
}

void store_release(struct object *object) {
    if (!object)
        return;
    pthread_mutex_lock(&store_lock);
    bool unused = --object->references == 0;
    pthread_mutex_unlock(&store_lock);
    if (!unused)
        return;
    for (size_t i = 0; i < object->segment_count; i++)
        segment_free(object->segments[i]);
    free(object->segments);
    free(object->key);
    free(object);
}

void store_delete(const char *key) {
    pthread_mutex_lock(&store_lock);
    struct object *object = take_out(find(key));
    pthread_mutex_unlock(&store_lock);
    store_release(object);
}

// --- multipart uploads -----------------------------------------------------------------------------------------------

struct upload {
    uint64_t number;
    char *key;
    struct description description;
    struct segment *parts[MAX_PARTS + 1];
    int highest_part;
    struct upload *next;
};

static struct upload *uploads;

uint64_t upload_start(const char *key, const struct description *description) {
    struct upload *upload = allocate_zeroed(sizeof *upload);
    upload->number = new_etag();
    upload->key = duplicate(key);
    upload->description = *description;
    uint64_t number = upload->number;
    pthread_mutex_lock(&store_lock);
    upload->next = uploads;
    uploads = upload;
    pthread_mutex_unlock(&store_lock);
    return number;
}

// Returns the link that points to an upload, or the last one. The lock must be held.
static struct upload **find_upload(uint64_t number) {
    struct upload **link = &uploads;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    return link;
}

static struct upload *take_upload(uint64_t number) {
    pthread_mutex_lock(&store_lock);
    struct upload **link = find_upload(number);
    struct upload *upload = *link;
    if (upload)
        *link = upload->next;
    pthread_mutex_unlock(&store_lock);
    return upload;
}

static void free_upload(struct upload *upload) {
    for (int i = 1; i <= upload->highest_part; i++)
        segment_free(upload->parts[i]);
    free(upload->key);
    free(upload);
}

bool upload_put_part(uint64_t number, int part, struct segment *content) {
    struct segment *unneeded = content;
    pthread_mutex_lock(&store_lock);
    struct upload *upload = *find_upload(number);
    bool found = upload && part >= 1 && part <= MAX_PARTS;
    if (found) {
        unneeded = upload->parts[part];
        upload->parts[part] = content;
        if (part > upload->highest_part)
            upload->highest_part = part;
    }
    pthread_mutex_unlock(&store_lock);
    segment_free(unneeded);
    return found;
}

bool upload_finish(uint64_t number, uint64_t etag, size_t *part_count) {
    struct upload *upload = take_upload(number);
    if (!upload)
        return false;
    struct object *object = new_object(upload->key, &upload->description, (size_t)upload->highest_part);
    for (int i = 1; i <= upload->highest_part; i++) {
        if (upload->parts[i])
            add_segment(object, upload->parts[i]);
    }
    // The object owns the parts now.
    upload->highest_part = 0;
    free_upload(upload);
    *part_count = object->segment_count;
    publish(object, etag);
    return true;
}

bool upload_abort(uint64_t number) {
    struct upload *upload = take_upload(number);
    if (upload)
        free_upload(upload);
    return upload != NULL;
}

void store_clear(void) {
    pthread_mutex_lock(&store_lock);
    struct object *objects = NULL;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        struct object *object;
        while ((object = take_out(&table[i]))) {
            object->next = objects;
            objects = object;
        }
    }
    struct upload *abandoned = uploads;
    uploads = NULL;
    pthread_mutex_unlock(&store_lock);
    while (objects) {
        struct object *next = objects->next;
        store_release(objects);
        objects = next;
    }
    while (abandoned) {
        struct upload *next = abandoned->next;
        free_upload(abandoned);
        abandoned = next;
    }
}
