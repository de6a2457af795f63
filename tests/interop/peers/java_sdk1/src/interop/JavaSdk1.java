package interop;

import static com.amazonaws.services.s3.model.CryptoMode.EncryptionOnly;
import static com.amazonaws.services.s3.model.CryptoMode.StrictAuthenticatedEncryption;

import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.kms.AWSKMS;
import com.amazonaws.services.kms.AWSKMSClientBuilder;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3Builder;
import com.amazonaws.services.s3.AmazonS3EncryptionClientBuilder;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2Builder;
import com.amazonaws.services.s3.model.CryptoConfiguration;
import com.amazonaws.services.s3.model.CryptoConfigurationV2;
import com.amazonaws.services.s3.model.CryptoMode;
import com.amazonaws.services.s3.model.CryptoStorageMode;
import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.KMSEncryptionMaterials;
import com.amazonaws.services.s3.model.KMSEncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.S3Object;
import com.amazonaws.util.IOUtils;
import com.amazonaws.util.VersionInfoUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Interop peer for the AWS SDK for Java 1.x: AmazonS3EncryptionClient (the old client, which writes the formats with
 * the legacy key wraps) and AmazonS3EncryptionClientV2, with the envelope in the object's metadata or in an
 * instruction file.
 */
public final class JavaSdk1 {
    private enum Client { V1, V2 }

    private enum Master { KMS, AES, RSA }

    private enum Direction { READ, READ_WRITE }

    /**
     * What it takes to handle a format. The mode is the strictest that does: EncryptionOnly means CBC content, and the
     * strict mode reads nothing but GCM.
     */
    private record Format(Client client, CryptoMode mode, Master master, Direction direction) {
    }

    private static final Map<String, Format> FORMATS = Map.of(
            "v1-aes", new Format(Client.V1, EncryptionOnly, Master.AES, Direction.READ_WRITE),
            "v1-rsa", new Format(Client.V1, EncryptionOnly, Master.RSA, Direction.READ_WRITE),
            "v2-kms-cbc", new Format(Client.V1, EncryptionOnly, Master.KMS, Direction.READ_WRITE),
            "v2-kms-gcm", new Format(Client.V1, StrictAuthenticatedEncryption, Master.KMS, Direction.READ_WRITE),
            "v2-kms_context", new Format(Client.V2, StrictAuthenticatedEncryption, Master.KMS, Direction.READ_WRITE),
            "v2-aeswrap-cbc", new Format(Client.V1, EncryptionOnly, Master.AES, Direction.READ),
            "v2-aeswrap-gcm", new Format(Client.V1, StrictAuthenticatedEncryption, Master.AES, Direction.READ_WRITE),
            "v2-rsa_oaep_sha256-gcm",
            new Format(Client.V1, StrictAuthenticatedEncryption, Master.RSA, Direction.READ_WRITE),
            "v2-aes_gcm", new Format(Client.V2, StrictAuthenticatedEncryption, Master.AES, Direction.READ_WRITE),
            "v2-rsa_oaep_sha1", new Format(Client.V2, StrictAuthenticatedEncryption, Master.RSA, Direction.READ_WRITE));

    private static final Map<String, CryptoStorageMode> LOCATIONS = Map.of(
            "metadata", CryptoStorageMode.ObjectMetadata,
            "instruction_file", CryptoStorageMode.InstructionFile);

    /** Clients are dear to build; the materials carry the encryption context, so it is part of the key. */
    private record ClientKey(String format, String location, Map<String, String> context) {
    }

    private final EndpointConfiguration endpoint =
            new EndpointConfiguration(System.getenv("INTEROP_ENDPOINT"), System.getenv("AWS_REGION"));
    private final AWSKMS kms = AWSKMSClientBuilder.standard().withEndpointConfiguration(endpoint).build();
    private final Keys keys;
    private final Map<ClientKey, AmazonS3> clients = new HashMap<>();

    private JavaSdk1(Keys keys) {
        this.keys = keys;
    }

    public static void main(String[] args) throws Exception {
        JavaSdk1 peer = new JavaSdk1(Keys.load());
        JsonLines.serve(
                new JsonLines.Hello("java_sdk1", "aws-java-sdk-s3 " + VersionInfoUtils.getVersion(),
                        cells(format -> format.direction() == Direction.READ_WRITE), cells(format -> true)),
                Map.of("put", peer::put, "get", peer::get));
    }

    private static List<String> cells(Predicate<Format> wanted) {
        return FORMATS.entrySet().stream()
                .filter(entry -> wanted.test(entry.getValue()))
                .flatMap(entry -> LOCATIONS.keySet().stream().map(location -> entry.getKey() + "@" + location))
                .sorted()
                .toList();
    }

    private Map<String, ?> put(JsonLines.Request request) {
        ObjectMetadata metadata = new ObjectMetadata();
        metadata.setContentLength(request.body().length);
        client(request).putObject(
                request.bucket(), request.key(), new ByteArrayInputStream(request.body()), metadata);
        return Map.of();
    }

    private Map<String, ?> get(JsonLines.Request request) throws IOException {
        try (S3Object object = client(request).getObject(request.bucket(), request.key())) {
            return Map.of("body", IOUtils.toByteArray(object.getObjectContent()));
        }
    }

    private AmazonS3 client(JsonLines.Request request) {
        return clients.computeIfAbsent(
                new ClientKey(request.format(), request.location(), request.context()), this::build);
    }

    private AmazonS3 build(ClientKey key) {
        Format format = FORMATS.get(key.format());
        CryptoStorageMode storage = LOCATIONS.get(key.location());
        if (format == null || storage == null) {
            throw new UnsupportedOperationException(key.format() + "@" + key.location());
        }
        EncryptionMaterialsProvider materials = materials(format.master(), key.context());
        AmazonS3Builder<?, ? extends AmazonS3> builder = switch (format.client()) {
            case V1 -> AmazonS3EncryptionClientBuilder.standard()
                    .withKmsClient(kms)
                    .withEncryptionMaterials(materials)
                    .withCryptoConfiguration(new CryptoConfiguration(format.mode())
                            .withStorageMode(storage)
                            .withIgnoreMissingInstructionFile(false)); // else ciphertext is returned as it is
            case V2 -> AmazonS3EncryptionClientV2Builder.standard()
                    .withKmsClient(kms)
                    .withEncryptionMaterialsProvider(materials)
                    .withCryptoConfiguration(new CryptoConfigurationV2(format.mode()).withStorageMode(storage));
        };
        builder.setEndpointConfiguration(endpoint);
        builder.setPathStyleAccessEnabled(true);
        return builder.build();
    }

    private EncryptionMaterialsProvider materials(Master master, Map<String, String> context) {
        return switch (master) {
            case KMS -> {
                KMSEncryptionMaterials materials = new KMSEncryptionMaterials(keys.kmsKeyId());
                materials.addDescriptions(context);
                yield new KMSEncryptionMaterialsProvider(materials);
            }
            case AES -> new OneKey(new EncryptionMaterials(keys.aes()));
            case RSA -> new OneKey(new EncryptionMaterials(keys.rsa()));
        };
    }

    /** Offers one key for every object, whatever description is stored with it. */
    private record OneKey(EncryptionMaterials materials) implements EncryptionMaterialsProvider {
        @Override
        public EncryptionMaterials getEncryptionMaterials() {
            return materials;
        }

        @Override
        public EncryptionMaterials getEncryptionMaterials(Map<String, String> description) {
            return materials;
        }

        @Override
        public void refresh() {
        }
    }
}
