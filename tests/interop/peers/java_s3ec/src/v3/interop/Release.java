package interop;

import software.amazon.encryption.s3.S3EncryptionClient;

/** What is particular to version 3: it knows no key commitment, so no V3 formats. */
final class Release {
    static final String PEER = "java_s3ec_v3";
    static final boolean COMMITS_KEYS = false;

    private Release() {
    }

    static S3EncryptionClient.Builder builder(boolean commitKey) {
        if (commitKey) {
            throw new UnsupportedOperationException("key commitment");
        }
        return S3EncryptionClient.builder();
    }
}
