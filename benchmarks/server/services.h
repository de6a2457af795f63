// What the server answers: S3, the key service, and requests by which the benchmark sets and asks the server itself.
#ifndef SERVICES_H
#define SERVICES_H

#include <stdbool.h>

#include "connection.h"
#include "http.h"
#include "store.h"

// Each answers one request, and returns false when the connection can't go on. s3_serve owns the content; the others
// leave it to the caller.
bool s3_serve(struct connection *connection, const struct request *request, struct segment *content);
bool kms_serve(struct connection *connection, const struct request *request, const struct segment *content);

// Paths that start with this are for control_serve.
#define CONTROL_PREFIX "/__"
bool control_serve(struct connection *connection, const struct request *request);

#endif
