// One connection: bytes in and out, in the clear or over TLS, at full speed or shaped to a bandwidth.
#ifndef CONNECTION_H
#define CONNECTION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#define INPUT_BUFFER_BYTES ((size_t)64 << 10)

struct connection {
    int socket;
    SSL *tls;           // NULL in the clear
    double free_at;     // when the bandwidth that was used so far is paid off
    size_t start, end;  // what of the input buffer is not consumed yet
    char input[INPUT_BUFFER_BYTES];
};

// Takes over a socket. Returns NULL, the socket closed, when the client fails in the handshake; context is NULL in the
// clear.
struct connection *connection_open(int socket, SSL_CTX *context);
void connection_close(struct connection *connection);

// Reads some bytes, at most size; false at the end of the connection.
bool connection_read(struct connection *connection, char *buffer, size_t size, size_t *received);

// Returns one line without its end, which stays valid until the next read; NULL at the end of the connection, or when
// the line is longer than the input buffer.
char *connection_read_line(struct connection *connection);

// Over TLS, what was written may wait in a buffer until it is flushed.
bool connection_write(struct connection *connection, const char *data, size_t size);
bool connection_flush(struct connection *connection);

#endif
