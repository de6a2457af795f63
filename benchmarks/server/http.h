// Requests, their bodies, and answers: as much of HTTP/1.1 as boto3 uses, with the framing of S3's aws-chunked bodies.
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "connection.h"
#include "store.h"

struct request {
    char method[16];
    char path[4096];   // decoded
    char query[4096];  // as sent; empty if there is none
    char range[128];
    char kms_target[128];  // the operation of the key service; empty for S3
    // For PUT and for the start of an upload: what is stored with the object.
    struct description description;
    size_t content_length;
    size_t decoded_length;  // of the content in an aws-chunked body
    bool is_chunked;        // Transfer-Encoding
    bool is_aws_chunked;    // Content-Encoding
    bool wants_continue;    // Expect
    bool wants_checksum;    // x-amz-checksum-mode
    bool closes;            // Connection: close
};

// Reads the head of a request; false when the connection is at its end, or what comes is no request.
bool request_read(struct connection *connection, struct request *request);

// Copies a decoded argument of the query, and returns whether it is there. It has no value if it is "name" alone.
bool request_argument(const struct request *request, const char *name, char *value, size_t capacity);

// Reads the body of a request, and returns its content; NULL when the connection breaks. A checksum that comes behind
// the content is noted in the description.
struct segment *request_read_content(struct connection *connection, struct request *request);

// Sends an answer. headers are lines with their ends; content is left out, but not its length, for HEAD.
bool reply(struct connection *connection, const struct request *request, int status, const char *headers,
           const char *content);

// Sends a status line and headers, and the first bytes of the content with them if they fit in the same piece. Returns
// how many of them were sent in *sent.
bool reply_head(struct connection *connection, int status, const char *headers, size_t content_length,
                const char *content, size_t available, size_t *sent);

#endif
