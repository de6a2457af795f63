// An in-memory S3 and KMS for benchmarks: fast enough to be never what is measured, and not a byte more than that.
//
// It listens on the loopback interface only, once in the clear and once with TLS, has a thread for each connection, and
// checks neither signatures nor checksums. It knows PutObject, GetObject with ranges, HeadObject, DeleteObject and
// multipart uploads, and of the key service GenerateDataKey and Decrypt. control.c tells what can be set while it runs.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blocks.h"
#include "connection.h"
#include "http.h"
#include "services.h"
#include "settings.h"

#define BACKLOG 128
#define THREAD_STACK_BYTES ((size_t)1 << 20)
#define TLS_READ_BUFFER_BYTES ((size_t)64 << 10)

// A listening socket; an accepted one is handed on in a structure of the same kind.
struct endpoint {
    int socket;
    SSL_CTX *context;  // NULL in the clear
};

// --- connections -----------------------------------------------------------------------------------------------------

static bool serve_request(struct connection *connection, struct request *request) {
    struct segment *content = request_read_content(connection, request);
    if (!content)
        return false;
    if (!*request->kms_target && strncmp(request->path, CONTROL_PREFIX, strlen(CONTROL_PREFIX)) != 0)
        return s3_serve(connection, request, content);
    bool goes_on = *request->kms_target ? kms_serve(connection, request, content) : control_serve(connection, request);
    segment_free(content);
    return goes_on;
}

static void *serve_connection(void *argument) {
    struct endpoint accepted = *(struct endpoint *)argument;
    free(argument);
    struct connection *connection = connection_open(accepted.socket, accepted.context);
    if (!connection)
        return NULL;
    struct request *request = allocate(sizeof *request);
    while (request_read(connection, request) && serve_request(connection, request) && connection_flush(connection) &&
           !request->closes)
        ;
    free(request);
    connection_close(connection);
    return NULL;
}

// --- listening -------------------------------------------------------------------------------------------------------

static void fail(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

// Listens on a free port, and returns its number.
static int listen_on_loopback(struct endpoint *endpoint) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    endpoint->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (endpoint->socket < 0 || bind(endpoint->socket, (struct sockaddr *)&address, length) ||
        listen(endpoint->socket, BACKLOG) || getsockname(endpoint->socket, (struct sockaddr *)&address, &length))
        fail("listen");
    return ntohs(address.sin_port);
}

static void *accept_connections(void *argument) {
    const struct endpoint *listening = argument;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    for (;;) {
        int client = accept(listening->socket, NULL, NULL);
        if (client < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            fail("accept");
        }
        struct endpoint *accepted = allocate(sizeof *accepted);
        *accepted = (struct endpoint){client, listening->context};
        pthread_t thread;
        if (pthread_create(&thread, &attributes, serve_connection, accepted)) {
            close(client);
            free(accepted);
        }
    }
    return NULL;
}

static SSL_CTX *tls_context(const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(EXIT_FAILURE);
    }
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
    // Several records with one system call.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, TLS_READ_BUFFER_BYTES);
    return context;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s CERTIFICATE KEY MAX_MIB\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    blocks_set_limit((size_t)strtoull(argv[3], NULL, 10) << 20);
    struct endpoint clear = {0}, secure = {.context = tls_context(argv[1], argv[2])};
    int http_port = listen_on_loopback(&clear), https_port = listen_on_loopback(&secure);
    printf("{\"http\":%d,\"https\":%d}\n", http_port, https_port);
    fflush(stdout);
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, accept_connections, &clear) ||
        pthread_create(&threads[1], NULL, accept_connections, &secure))
        fail("pthread_create");
    // Whoever has started the server holds the other end of its standard input, so that it ends with them.
    while (getchar() != EOF)
        ;
    return 0;
}
