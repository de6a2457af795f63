// The key service: data keys, "encrypted" in a way that is as fast as it is useless. Only for benchmarks.
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "services.h"
#include "settings.h"

#define JSON "Content-Type: application/x-amz-json-1.1\r\n"
#define KEY_ARN "arn:aws:kms:us-east-1:000000000000:key/benchmark"
#define DATA_KEY_BYTES 32
// As long as an answer of KMS for a data key of this size.
#define BLOB_BYTES 152
#define BASE64_BYTES(n) (((n) + 2) / 3 * 4 + 1)
#define MASK 0x5a

static void mask(unsigned char *target, const unsigned char *source) {
    for (size_t i = 0; i < DATA_KEY_BYTES; i++)
        target[i] = source[i] ^ MASK;
}

static bool generate_data_key(struct connection *connection, const struct request *request) {
    unsigned char key[DATA_KEY_BYTES], blob[BLOB_BYTES];
    unsigned char key_text[BASE64_BYTES(DATA_KEY_BYTES)], blob_text[BASE64_BYTES(BLOB_BYTES)];
    char content[1024];
    if (RAND_bytes(key, sizeof key) != 1 || RAND_bytes(blob, sizeof blob) != 1)
        return false;
    mask(blob, key);
    EVP_EncodeBlock(key_text, key, sizeof key);
    EVP_EncodeBlock(blob_text, blob, sizeof blob);
    snprintf(content, sizeof content, "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"%s\"}",
             blob_text, key_text);
    return reply(connection, request, 200, JSON, content);
}

// Finds the blob in the JSON text of a request, and decodes it.
static bool read_blob(const char *text, unsigned char *blob) {
    static const char name[] = "\"CiphertextBlob\"";
    const char *field = strstr(text, name);
    const char *start = field ? strchr(field + sizeof name - 1, '"') : NULL;
    if (!start || strcspn(start + 1, "\"") != BASE64_BYTES(BLOB_BYTES) - 1)
        return false;
    return EVP_DecodeBlock(blob, (const unsigned char *)start + 1, BASE64_BYTES(BLOB_BYTES) - 1) >= BLOB_BYTES;
}

static bool decrypt(struct connection *connection, const struct request *request, const char *text) {
    unsigned char key[DATA_KEY_BYTES], blob[BASE64_BYTES(BLOB_BYTES)];
    unsigned char key_text[BASE64_BYTES(DATA_KEY_BYTES)];
    char content[512];
    if (!read_blob(text, blob))
        return reply(connection, request, 400, JSON, "{\"__type\":\"InvalidCiphertextException\"}");
    mask(key, blob);
    EVP_EncodeBlock(key_text, key, sizeof key);
    snprintf(content, sizeof content,
             "{\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"%s\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}",
             key_text);
    return reply(connection, request, 200, JSON, content);
}

// Copies the text of a request; it is short, and so in one piece.
static void copy_text(char *text, size_t capacity, const struct segment *content) {
    size_t available = 0;
    if (segment_size(content)) {
        const char *bytes = segment_at(content, 0, &available);
        if (available >= capacity)
            available = capacity - 1;
        memcpy(text, bytes, available);
    }
    text[available] = '\0';
}

bool kms_serve(struct connection *connection, const struct request *request, const struct segment *content) {
    atomic_fetch_add(&counters.kms_requests, 1);
    sleep_us(settings.kms_delay_us);
    if (strstr(request->kms_target, "GenerateDataKey"))
        return generate_data_key(connection, request);
    if (strstr(request->kms_target, "Decrypt")) {
        char text[16384];
        copy_text(text, sizeof text, content);
        return decrypt(connection, request, text);
    }
    return reply(connection, request, 400, JSON, "{\"__type\":\"UnsupportedOperationException\"}");
}
