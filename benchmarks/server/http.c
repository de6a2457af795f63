#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings.h"

// Status line and headers, and the metadata of an object in them.
#define HEAD_BYTES (sizeof(((struct description *)0)->metadata) + 2048)
#define UNLIMITED SIZE_MAX

// --- heads -----------------------------------------------------------------------------------------------------------

static void copy_text(char *target, size_t capacity, const char *text) {
    snprintf(target, capacity, "%s", text);
}

// Decodes %XX in place.
static void decode(char *text) {
    char *out = text;
    for (; *text; text++) {
        if (text[0] == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            char digits[] = {text[1], text[2], '\0'};
            *out++ = (char)strtol(digits, NULL, 16);
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

static void note_metadata(struct description *description, const char *name, const char *value) {
    size_t used = strlen(description->metadata);
    size_t room = sizeof description->metadata - used;
    int length = snprintf(description->metadata + used, room, "%s: %s\r\n", name, value);
    if (length < 0 || (size_t)length >= room)
        description->metadata[used] = '\0';
}

static void note_header(struct request *request, const char *name, const char *value) {
    struct description *description = &request->description;
    if (!strncasecmp(name, "x-amz-meta-", strlen("x-amz-meta-")))
        note_metadata(description, name, value);
    else if (!strcasecmp(name, "content-length"))
        request->content_length = strtoull(value, NULL, 10);
    else if (!strcasecmp(name, "x-amz-decoded-content-length"))
        request->decoded_length = strtoull(value, NULL, 10);
    else if (!strcasecmp(name, "transfer-encoding"))
        request->is_chunked = strcasestr(value, "chunked") != NULL;
    else if (!strcasecmp(name, "content-encoding"))
        request->is_aws_chunked = strcasestr(value, "aws-chunked") != NULL;
    else if (!strcasecmp(name, "expect"))
        request->wants_continue = true;
    else if (!strcasecmp(name, "connection"))
        request->closes = !strcasecmp(value, "close");
    else if (!strcasecmp(name, "range"))
        copy_text(request->range, sizeof request->range, value);
    else if (!strcasecmp(name, "content-type"))
        copy_text(description->content_type, sizeof description->content_type, value);
    else if (!strcasecmp(name, "x-amz-target"))
        copy_text(request->kms_target, sizeof request->kms_target, value);
    else if (!strcasecmp(name, "x-amz-checksum-mode"))
        request->wants_checksum = true;
    else if (!strcasecmp(name, "x-amz-checksum-crc32"))
        copy_text(description->crc32, sizeof description->crc32, value);
}

// Splits "name: value" in place; false if it is no such line.
static bool split_header(char *line, const char **value) {
    char *colon = strchr(line, ':');
    if (!colon)
        return false;
    *colon++ = '\0';
    while (*colon == ' ')
        colon++;
    *value = colon;
    return true;
}

static bool read_request_line(struct connection *connection, struct request *request) {
    const char *line = connection_read_line(connection);
    if (!line || sscanf(line, "%15s %4095s", request->method, request->path) != 2)
        return false;
    char *query = strchr(request->path, '?');
    if (query) {
        *query = '\0';
        copy_text(request->query, sizeof request->query, query + 1);
    }
    decode(request->path);
    return true;
}

bool request_read(struct connection *connection, struct request *request) {
    memset(request, 0, sizeof *request);
    copy_text(request->description.content_type, sizeof request->description.content_type, "binary/octet-stream");
    if (!read_request_line(connection, request))
        return false;
    for (;;) {
        char *line = connection_read_line(connection);
        const char *value;
        if (!line)
            return false;
        if (!*line)
            return true;
        if (split_header(line, &value))
            note_header(request, line, value);
    }
}

bool request_argument(const struct request *request, const char *name, char *value, size_t capacity) {
    size_t name_length = strlen(name);
    const char *argument = request->query;
    while (*argument) {
        size_t length = strcspn(argument, "&");
        bool matches = length >= name_length && !strncmp(argument, name, name_length);
        if (matches && (length == name_length || argument[name_length] == '=')) {
            size_t start = length == name_length ? length : name_length + 1;
            snprintf(value, capacity, "%.*s", (int)(length - start), argument + start);
            decode(value);
            return true;
        }
        argument += length;
        argument += *argument == '&';
    }
    return false;
}

// --- bodies ----------------------------------------------------------------------------------------------------------

// What HTTP's own framing delivers: so many bytes, or chunks up to one of no length.
struct body {
    struct connection *connection;
    bool is_chunked;
    bool has_begun;
    bool has_ended;
    size_t left;  // of the chunk, or of all
};

static bool start_next_chunk(struct body *body) {
    if (body->has_begun && !connection_read_line(body->connection))
        return false;
    const char *line = connection_read_line(body->connection);
    if (!line)
        return false;
    body->has_begun = true;
    body->left = strtoull(line, NULL, 16);
    if (body->left)
        return true;
    body->has_ended = true;
    // Trailers, up to an empty line.
    do
        line = connection_read_line(body->connection);
    while (line && *line);
    return line != NULL;
}

// Reads some bytes: none at the end of the body. False when the connection breaks.
static bool read_some(struct body *body, char *buffer, size_t size, size_t *received) {
    *received = 0;
    if (body->is_chunked && !body->left && !body->has_ended && !start_next_chunk(body))
        return false;
    if (!body->left)
        return true;
    if (!connection_read(body->connection, buffer, size < body->left ? size : body->left, received))
        return false;
    body->left -= *received;
    return true;
}

// Appends so many bytes of the body to a segment, or all that are left.
static bool append(struct body *body, struct segment *segment, size_t bytes, size_t expected_size) {
    while (bytes) {
        size_t room, received;
        char *tail = segment_tail(segment, expected_size, &room);
        if (!read_some(body, tail, room < bytes ? room : bytes, &received))
            return false;
        if (!received)
            return bytes == UNLIMITED;
        segment_extend(segment, received);
        atomic_fetch_add(&counters.bytes_in, received);
        if (bytes != UNLIMITED)
            bytes -= received;
    }
    return true;
}

// Reads a line of a framing inside the body; what does not fit is dropped.
static bool read_inner_line(struct body *body, char *line, size_t capacity) {
    size_t length = 0;
    for (;;) {
        char byte;
        size_t received;
        if (!read_some(body, &byte, 1, &received) || !received)
            return false;
        if (byte == '\n')
            break;
        if (byte != '\r' && length + 1 < capacity)
            line[length++] = byte;
    }
    line[length] = '\0';
    return true;
}

// The trailers of an aws-chunked body, and whatever HTTP's framing still holds.
static bool read_inner_end(struct body *body, struct description *description) {
    char line[256];
    for (;;) {
        const char *value;
        if (!read_inner_line(body, line, sizeof line))
            return false;
        if (!*line)
            break;
        if (split_header(line, &value) && !strcasecmp(line, "x-amz-checksum-crc32"))
            snprintf(description->crc32, sizeof description->crc32, "%.63s", value);
    }
    size_t received;
    do {
        if (!read_some(body, line, sizeof line, &received))
            return false;
    } while (received);
    return true;
}

// aws-chunked: a length in hexadecimal digits (and perhaps a signature) before each chunk, then trailers.
static bool append_aws_chunks(struct body *body, struct segment *segment, struct request *request) {
    char line[256];
    for (;;) {
        if (!read_inner_line(body, line, sizeof line))
            return false;
        size_t length = strtoull(line, NULL, 16);
        if (!length)
            return read_inner_end(body, &request->description);
        if (!append(body, segment, length, request->decoded_length) || !read_inner_line(body, line, sizeof line))
            return false;
    }
}

static bool send_continue(struct connection *connection) {
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\n";
    sleep_us(settings.round_trip_us);
    return connection_write(connection, answer, sizeof answer - 1) && connection_flush(connection);
}

struct segment *request_read_content(struct connection *connection, struct request *request) {
    if (request->wants_continue && !send_continue(connection))
        return NULL;
    struct body body = {.connection = connection, .is_chunked = request->is_chunked};
    if (!request->is_chunked)
        body.left = request->content_length;
    struct segment *segment = segment_new();
    bool complete;
    if (request->is_aws_chunked)
        complete = append_aws_chunks(&body, segment, request);
    else if (request->is_chunked)
        complete = append(&body, segment, UNLIMITED, 0);
    else
        complete = append(&body, segment, request->content_length, request->content_length);
    if (complete)
        return segment;
    segment_free(segment);
    return NULL;
}

// --- answers ---------------------------------------------------------------------------------------------------------

static const char *reason(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 404:
        return "Not Found";
    case 416:
        return "Range Not Satisfiable";
    default:
        return "Bad Request";
    }
}

bool reply_head(struct connection *connection, int status, const char *headers, size_t content_length,
                const char *content, size_t available, size_t *sent) {
    char head[2 * HEAD_BYTES];
    int length = snprintf(head, HEAD_BYTES, "HTTP/1.1 %d %s\r\nx-amz-request-id: 0\r\n%sContent-Length: %zu\r\n\r\n",
                          status, reason(status), headers, content_length);
    if (length < 0 || (size_t)length >= HEAD_BYTES)
        return false;
    size_t total = (size_t)length;
    *sent = available <= sizeof head - total ? available : 0;
    if (*sent)
        memcpy(head + total, content, *sent);
    return connection_write(connection, head, total + *sent);
}

bool reply(struct connection *connection, const struct request *request, int status, const char *headers,
           const char *content) {
    size_t length = strlen(content), sent;
    size_t available = strcmp(request->method, "HEAD") ? length : 0;
    return reply_head(connection, status, headers, length, content, available, &sent) &&
           (sent == available || connection_write(connection, content, available));
}
