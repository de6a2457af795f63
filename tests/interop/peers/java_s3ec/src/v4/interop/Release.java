package interop;

import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;

/** What is particular to version 4: key commitment, and with it the V3 formats. */
final class Release {
    static final String PEER = "java_s3ec";
    static final boolean COMMITS_KEYS = true;

    private Release() {
    }

    static S3EncryptionClient.Builder builder(boolean commitKey) {
        return commitKey
                ? S3EncryptionClient.builderV4()
                        .commitmentPolicy(CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT)
                        .encryptionAlgorithm(AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY)
                : S3EncryptionClient.builderV4()
                        .commitmentPolicy(CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
                        .encryptionAlgorithm(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF);
    }
}
