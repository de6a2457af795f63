package interop;

import java.net.URI;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;
import software.amazon.awssdk.awscore.AwsRequestOverrideConfiguration;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.s3.DelegatingS3Client;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3BaseClientBuilder;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.internal.ApiNameVersion;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.KmsKeyring;
import software.amazon.encryption.s3.materials.PartialRsaKeyPair;
import software.amazon.encryption.s3.materials.RsaKeyring;
import software.amazon.encryption.s3.materials.S3Keyring;

/**
 * Interop peer for the Amazon S3 Encryption Client for Java: the V2 formats without and the V3 formats with key
 * commitment, the legacy formats behind their switches, with the envelope in the object's metadata or in an
 * instruction file. {@link Release} holds what differs between its major versions.
 */
public final class JavaS3ec {
    private enum Master { KMS, AES, RSA }

    /** What a client must be set up with. Legacy formats can be read only, each switch is on just where needed. */
    private enum Mode {
        /** key commitment (V3) */
        COMMIT(true, true, false, false),
        /** GCM without key commitment, under a key wrap that is not legacy */
        GCM(true, false, false, false),
        LEGACY_WRAP(false, false, true, false),
        LEGACY_WRAP_AND_CBC(false, false, true, true);

        final boolean writes;
        final boolean commitKey;
        final boolean legacyWrap;
        final boolean unauthenticated;

        Mode(boolean writes, boolean commitKey, boolean legacyWrap, boolean unauthenticated) {
            this.writes = writes;
            this.commitKey = commitKey;
            this.legacyWrap = legacyWrap;
            this.unauthenticated = unauthenticated;
        }

        boolean available() {
            return Release.COMMITS_KEYS || !commitKey;
        }
    }

    private record Format(Mode mode, Master master) {
    }

    private static final Map<String, Format> FORMATS = Map.ofEntries(
            Map.entry("v1-aes", new Format(Mode.LEGACY_WRAP_AND_CBC, Master.AES)),
            Map.entry("v1-rsa", new Format(Mode.LEGACY_WRAP_AND_CBC, Master.RSA)),
            Map.entry("v2-kms-cbc", new Format(Mode.LEGACY_WRAP_AND_CBC, Master.KMS)),
            Map.entry("v2-kms-gcm", new Format(Mode.LEGACY_WRAP, Master.KMS)),
            Map.entry("v2-kms_context", new Format(Mode.GCM, Master.KMS)),
            Map.entry("v2-aeswrap-cbc", new Format(Mode.LEGACY_WRAP_AND_CBC, Master.AES)),
            Map.entry("v2-aeswrap-gcm", new Format(Mode.LEGACY_WRAP, Master.AES)),
            Map.entry("v2-rsa_oaep_sha256-gcm", new Format(Mode.LEGACY_WRAP, Master.RSA)),
            Map.entry("v2-aes_gcm", new Format(Mode.GCM, Master.AES)),
            Map.entry("v2-rsa_oaep_sha1", new Format(Mode.GCM, Master.RSA)),
            Map.entry("v3-kms_context", new Format(Mode.COMMIT, Master.KMS)),
            Map.entry("v3-aes_gcm", new Format(Mode.COMMIT, Master.AES)),
            Map.entry("v3-rsa_oaep_sha1", new Format(Mode.COMMIT, Master.RSA)));

    /** Location to "write instruction files"; they are always read. */
    private static final Map<String, Boolean> LOCATIONS = Map.of("metadata", false, "instruction_file", true);

    private record ClientKey(String format, String location) {
    }

    private final URI endpoint = URI.create(System.getenv("INTEROP_ENDPOINT"));
    private final KmsClient kms = KmsClient.builder().endpointOverride(endpoint).build();
    private final S3Client s3 = atEndpoint(S3Client.builder()).build();
    private final S3AsyncClient s3Async = atEndpoint(S3AsyncClient.builder()).build();
    private final S3Client instructionFiles = new BufferingClient(s3);
    private final Keys keys;
    private final Map<ClientKey, S3Client> clients = new HashMap<>();

    private JavaS3ec(Keys keys) {
        this.keys = keys;
    }

    public static void main(String[] args) throws Exception {
        JavaS3ec peer = new JavaS3ec(Keys.load());
        JsonLines.serve(
                new JsonLines.Hello(Release.PEER, version(), cells(mode -> mode.writes), cells(mode -> true)),
                Map.of("put", peer::put, "get", peer::get));
        System.exit(0); // the asynchronous client's threads would keep the process alive
    }

    private static String version() {
        return "amazon-s3-encryption-client-java " + ApiNameVersion.apiNameWithVersion().version()
                + ", aws-sdk-java-v2 " + VersionInfo.SDK_VERSION;
    }

    private static List<String> cells(Predicate<Mode> wanted) {
        return FORMATS.entrySet().stream()
                .filter(entry -> entry.getValue().mode().available() && wanted.test(entry.getValue().mode()))
                .flatMap(entry -> LOCATIONS.keySet().stream().map(location -> entry.getKey() + "@" + location))
                .sorted()
                .toList();
    }

    private Map<String, ?> put(JsonLines.Request request) {
        client(request).putObject(
                put -> put.bucket(request.bucket()).key(request.key())
                        .overrideConfiguration(configuration(request)),
                RequestBody.fromBytes(request.body()));
        return Map.of();
    }

    private Map<String, ?> get(JsonLines.Request request) {
        byte[] body = client(request).getObjectAsBytes(
                get -> get.bucket(request.bucket()).key(request.key())
                        .overrideConfiguration(configuration(request)))
                .asByteArrayUnsafe();
        return Map.of("body", body);
    }

    /** The encryption context, which only KMS has. */
    private static Consumer<AwsRequestOverrideConfiguration.Builder> configuration(JsonLines.Request request) {
        return FORMATS.get(request.format()).master() == Master.KMS
                ? S3EncryptionClient.withAdditionalConfiguration(request.context())
                : configuration -> { };
    }

    private S3Client client(JsonLines.Request request) {
        return clients.computeIfAbsent(new ClientKey(request.format(), request.location()), this::build);
    }

    private S3Client build(ClientKey key) {
        Format format = FORMATS.get(key.format());
        Boolean writeInstructionFile = LOCATIONS.get(key.location());
        if (format == null || writeInstructionFile == null) {
            throw new UnsupportedOperationException(key.format() + "@" + key.location());
        }
        return Release.builder(format.mode().commitKey)
                .wrappedClient(s3)
                .wrappedAsyncClient(s3Async)
                .keyring(keyring(format.master()).enableLegacyWrappingAlgorithms(format.mode().legacyWrap).build())
                .enableLegacyUnauthenticatedModes(format.mode().unauthenticated)
                .instructionFileConfig(InstructionFileConfig.builder()
                        .instructionFileClient(instructionFiles)
                        .enableInstructionFilePutObject(writeInstructionFile)
                        .build())
                .build();
    }

    private S3Keyring.Builder<?, ?> keyring(Master master) {
        return switch (master) {
            case KMS -> KmsKeyring.builder().kmsClient(kms).wrappingKeyId(keys.kmsKeyId());
            case AES -> AesKeyring.builder().wrappingKey(keys.aes());
            case RSA -> RsaKeyring.builder().wrappingKeyPair(new PartialRsaKeyPair(keys.rsa()));
        };
    }

    private <B extends S3BaseClientBuilder<B, ?>> B atEndpoint(B builder) {
        return builder.endpointOverride(endpoint)
                .forcePathStyle(true)
                .overrideConfiguration(configuration -> configuration.addExecutionInterceptor(new NoExpectation()));
    }

    /**
     * Drops "Expect: 100-continue". The server answers it twice, which the asynchronous HTTP client takes for the final
     * response.
     */
    private static final class NoExpectation implements ExecutionInterceptor {
        @Override
        public SdkHttpRequest modifyHttpRequest(
                Context.ModifyHttpRequest context, ExecutionAttributes executionAttributes) {
            return context.httpRequest().copy(request -> request.removeHeader("Expect"));
        }
    }

    /**
     * Fetches whole objects. The encryption client does not close the stream of an instruction file, so a plain client
     * runs out of connections after some 50 of them.
     */
    private static final class BufferingClient extends DelegatingS3Client {
        BufferingClient(S3Client client) {
            super(client);
        }

        @Override
        public ResponseInputStream<GetObjectResponse> getObject(GetObjectRequest request) {
            ResponseBytes<GetObjectResponse> object = getObjectAsBytes(request);
            return new ResponseInputStream<>(object.response(), AbortableInputStream.create(object.asInputStream()));
        }
    }
}
