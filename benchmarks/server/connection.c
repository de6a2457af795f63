#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "settings.h"

// TLS records are of at most 16 KiB; several are collected for one system call.
#define TLS_WRITE_BUFFER_BYTES ((long)64 << 10)
#define MAX_CALL_BYTES ((size_t)1 << 30)

// A shaped connection moves so much at a time, and does not count pieces that are as small as headers.
#define SHAPED_CALL_BYTES ((size_t)128 << 10)
#define UNSHAPED_BYTES ((size_t)4 << 10)
// So much bandwidth that was not used may be made up for, because sleeping is not exact.
#define SHAPING_SLACK_SECONDS 0.002
#define SHORTEST_SLEEP_SECONDS 0.0005

// --- shaping ---------------------------------------------------------------------------------------------------------

static size_t call_bytes(size_t size) {
    size_t limit = settings.bytes_per_second ? SHAPED_CALL_BYTES : MAX_CALL_BYTES;
    return size < limit ? size : limit;
}

static void pay_for(struct connection *connection, size_t bytes) {
    long bytes_per_second = settings.bytes_per_second;
    if (!bytes_per_second || bytes <= UNSHAPED_BYTES)
        return;
    double now = now_seconds();
    if (connection->free_at < now - SHAPING_SLACK_SECONDS)
        connection->free_at = now - SHAPING_SLACK_SECONDS;
    connection->free_at += (double)bytes / (double)bytes_per_second;
    double wait = connection->free_at - now;
    if (wait > SHORTEST_SLEEP_SECONDS)
        sleep_us((long)(wait * 1e6));
}

// --- opening and closing ---------------------------------------------------------------------------------------------

static bool start_tls(struct connection *connection, SSL_CTX *context) {
    connection->tls = SSL_new(context);
    BIO *socket = BIO_new_socket(connection->socket, BIO_NOCLOSE);
    BIO *buffer = BIO_new(BIO_f_buffer());
    if (!connection->tls || !socket || !buffer)
        return false;
    BIO_set_write_buffer_size(buffer, TLS_WRITE_BUFFER_BYTES);
    BIO_push(buffer, socket);
    // Both directions own the socket.
    BIO_up_ref(socket);
    SSL_set0_rbio(connection->tls, socket);
    SSL_set0_wbio(connection->tls, buffer);
    return SSL_accept(connection->tls) == 1 && connection_flush(connection);
}

struct connection *connection_open(int socket, SSL_CTX *context) {
    struct connection *connection = allocate(sizeof *connection);
    connection->socket = socket;
    connection->tls = NULL;
    connection->free_at = 0;
    connection->start = connection->end = 0;
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (context && !start_tls(connection, context)) {
        connection_close(connection);
        return NULL;
    }
    return connection;
}

void connection_close(struct connection *connection) {
    if (connection->tls) {
        if (SSL_is_init_finished(connection->tls))
            SSL_shutdown(connection->tls);
        SSL_free(connection->tls);
    }
    close(connection->socket);
    free(connection);
}

// --- reading ---------------------------------------------------------------------------------------------------------

static ssize_t receive(struct connection *connection, char *buffer, size_t size) {
    if (connection->tls)
        return SSL_read(connection->tls, buffer, (int)size);
    ssize_t received;
    do
        received = recv(connection->socket, buffer, size, 0);
    while (received < 0 && errno == EINTR);
    return received;
}

static bool receive_some(struct connection *connection, char *buffer, size_t size, size_t *received) {
    ssize_t count = receive(connection, buffer, call_bytes(size));
    if (count <= 0)
        return false;
    *received = (size_t)count;
    pay_for(connection, *received);
    return true;
}

bool connection_read(struct connection *connection, char *buffer, size_t size, size_t *received) {
    size_t waiting = connection->end - connection->start;
    if (!waiting)
        return receive_some(connection, buffer, size, received);
    *received = waiting < size ? waiting : size;
    memcpy(buffer, connection->input + connection->start, *received);
    connection->start += *received;
    return true;
}

// Adds to the input buffer.
static bool fill(struct connection *connection) {
    size_t waiting = connection->end - connection->start;
    if (connection->start) {
        memmove(connection->input, connection->input + connection->start, waiting);
        connection->start = 0;
        connection->end = waiting;
    }
    if (waiting == INPUT_BUFFER_BYTES)
        return false;
    size_t received;
    if (!receive_some(connection, connection->input + waiting, INPUT_BUFFER_BYTES - waiting, &received))
        return false;
    connection->end += received;
    return true;
}

char *connection_read_line(struct connection *connection) {
    size_t searched = 0;
    for (;;) {
        char *line = connection->input + connection->start;
        size_t waiting = connection->end - connection->start;
        char *newline = memchr(line + searched, '\n', waiting - searched);
        if (newline) {
            connection->start += (size_t)(newline - line) + 1;
            if (newline > line && newline[-1] == '\r')
                newline--;
            *newline = '\0';
            return line;
        }
        searched = waiting;
        if (!fill(connection))
            return NULL;
    }
}

// --- writing ---------------------------------------------------------------------------------------------------------

static ssize_t transmit(struct connection *connection, const char *data, size_t size) {
    if (connection->tls) {
        int written = SSL_write(connection->tls, data, (int)size);
        // The buffer would make a shaped connection send in bursts.
        if (written > 0 && settings.bytes_per_second && !connection_flush(connection))
            return -1;
        return written;
    }
    ssize_t sent;
    do
        sent = send(connection->socket, data, size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

bool connection_write(struct connection *connection, const char *data, size_t size) {
    while (size) {
        size_t count = call_bytes(size);
        pay_for(connection, count);
        ssize_t sent = transmit(connection, data, count);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool connection_flush(struct connection *connection) {
    return !connection->tls || BIO_flush(SSL_get_wbio(connection->tls)) == 1;
}
