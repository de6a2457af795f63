// S3: objects, ranges of them, and multipart uploads.
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services.h"
#include "settings.h"

#define XML "Content-Type: application/xml\r\n"
#define NAMESPACE "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define HEADER_BYTES (sizeof(struct description) + 512)

static bool error(struct connection *connection, const struct request *request, int status, const char *code) {
    char content[128];
    snprintf(content, sizeof content, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code);
    return reply(connection, request, status, XML, content);
}

static bool reply_etag(struct connection *connection, const struct request *request, uint64_t etag) {
    char header[64];
    snprintf(header, sizeof header, "ETag: \"%032" PRIx64 "\"\r\n", etag);
    return reply(connection, request, 200, header, "");
}

// --- PUT -------------------------------------------------------------------------------------------------------------

static bool put(struct connection *connection, const struct request *request, struct segment *content) {
    char upload[32], part[16];
    uint64_t etag = new_etag();
    if (request_argument(request, "uploadId", upload, sizeof upload) &&
        request_argument(request, "partNumber", part, sizeof part)) {
        if (!upload_put_part(strtoull(upload, NULL, 16), atoi(part), content))
            return error(connection, request, 404, "NoSuchUpload");
    } else {
        store_put(request->path, &request->description, content, etag);
    }
    return reply_etag(connection, request, etag);
}

// --- GET and HEAD ----------------------------------------------------------------------------------------------------

// A span of an object, from its first byte to the one behind the last.
struct span {
    size_t start, stop;
    bool is_part;
};

// Reads "bytes=first-last", "bytes=first-" or "bytes=-count"; anything else means all.
static struct span parse_range(const char *range, size_t size) {
    struct span span = {0, size, false};
    const char *first = range + strlen("bytes=");
    const char *dash = strncmp(range, "bytes=", strlen("bytes=")) ? NULL : strchr(first, '-');
    if (!dash)
        return span;
    span.is_part = true;
    if (dash == first) {
        size_t count = strtoull(dash + 1, NULL, 10);
        span.start = count < size ? size - count : 0;
        return span;
    }
    span.start = strtoull(first, NULL, 10);
    if (dash[1])
        span.stop = strtoull(dash + 1, NULL, 10) + 1;
    if (span.stop > size)
        span.stop = size;
    return span;
}

static void write_headers(char *headers, const struct request *request, const struct object *object, struct span span) {
    const struct description *description = &object->description;
    int length = snprintf(headers, HEADER_BYTES,
                          "Accept-Ranges: bytes\r\nLast-Modified: Fri, 21 Nov 2025 00:00:00 GMT\r\n"
                          "ETag: \"%032" PRIx64 "\"\r\nContent-Type: %s\r\n%s",
                          object->etag, description->content_type, description->metadata);
    size_t room = HEADER_BYTES - (size_t)length;
    if (span.is_part)
        snprintf(headers + length, room, "Content-Range: bytes %zu-%zu/%zu\r\n", span.start, span.stop - 1,
                 object->size);
    else if (request->wants_checksum && *description->crc32)
        snprintf(headers + length, room, "x-amz-checksum-crc32: %s\r\nx-amz-checksum-type: FULL_OBJECT\r\n",
                 description->crc32);
}

// Returns the bytes of an object from an offset on, as many as are in one piece.
static const char *object_at(const struct object *object, size_t offset, size_t *available) {
    size_t i = 0;
    while (offset >= segment_size(object->segments[i]))
        offset -= segment_size(object->segments[i++]);
    return segment_at(object->segments[i], offset, available);
}

static bool send_object(struct connection *connection, const struct request *request, const struct object *object,
                        struct span span) {
    char headers[HEADER_BYTES];
    write_headers(headers, request, object, span);
    int status = span.is_part ? 206 : 200;
    size_t length = span.stop - span.start, sent;
    if (!length || !strcmp(request->method, "HEAD"))
        return reply_head(connection, status, headers, length, NULL, 0, &sent);
    atomic_fetch_add(&counters.bytes_out, length);
    for (size_t offset = span.start; offset < span.stop; offset += sent) {
        size_t available;
        const char *bytes = object_at(object, offset, &available);
        if (available > span.stop - offset)
            available = span.stop - offset;
        if (offset == span.start) {
            if (!reply_head(connection, status, headers, length, bytes, available, &sent))
                return false;
            bytes += sent;
            available -= sent;
        } else {
            sent = 0;
        }
        if (!connection_write(connection, bytes, available))
            return false;
        sent += available;
    }
    return true;
}

static bool get(struct connection *connection, const struct request *request) {
    struct object *object = store_get(request->path);
    if (!object)
        return error(connection, request, 404, "NoSuchKey");
    struct span span = parse_range(request->range, object->size);
    bool is_sent = span.is_part && span.start >= span.stop ? error(connection, request, 416, "InvalidRange")
                                                           : send_object(connection, request, object, span);
    store_release(object);
    return is_sent;
}

// --- uploads and the rest --------------------------------------------------------------------------------------------

static bool create_upload(struct connection *connection, const struct request *request) {
    char content[256];
    snprintf(content, sizeof content,
             "<InitiateMultipartUploadResult " NAMESPACE "><UploadId>%" PRIx64
             "</UploadId></InitiateMultipartUploadResult>",
             upload_start(request->path, &request->description));
    return reply(connection, request, 200, XML, content);
}

static bool complete_upload(struct connection *connection, const struct request *request, const char *upload) {
    char content[256];
    uint64_t etag = new_etag();
    size_t part_count;
    if (!upload_finish(strtoull(upload, NULL, 16), etag, &part_count))
        return error(connection, request, 404, "NoSuchUpload");
    snprintf(content, sizeof content,
             "<CompleteMultipartUploadResult " NAMESPACE "><ETag>\"%032" PRIx64
             "-%zu\"</ETag></CompleteMultipartUploadResult>",
             etag, part_count);
    return reply(connection, request, 200, XML, content);
}

static bool post(struct connection *connection, const struct request *request) {
    char upload[32];
    if (request_argument(request, "uploads", upload, sizeof upload))
        return create_upload(connection, request);
    if (request_argument(request, "uploadId", upload, sizeof upload))
        return complete_upload(connection, request, upload);
    return error(connection, request, 400, "NotImplemented");
}

static bool delete(struct connection *connection, const struct request *request) {
    char upload[32];
    if (!request_argument(request, "uploadId", upload, sizeof upload))
        store_delete(request->path);
    else if (!upload_abort(strtoull(upload, NULL, 16)))
        return error(connection, request, 404, "NoSuchUpload");
    return reply(connection, request, 204, "", "");
}

bool s3_serve(struct connection *connection, const struct request *request, struct segment *content) {
    atomic_fetch_add(&counters.requests, 1);
    sleep_us(settings.round_trip_us);
    if (!strcmp(request->method, "PUT"))
        return put(connection, request, content);
    segment_free(content);
    if (!strcmp(request->method, "GET") || !strcmp(request->method, "HEAD"))
        return get(connection, request);
    if (!strcmp(request->method, "POST"))
        return post(connection, request);
    if (!strcmp(request->method, "DELETE"))
        return delete(connection, request);
    return error(connection, request, 400, "NotImplemented");
}
