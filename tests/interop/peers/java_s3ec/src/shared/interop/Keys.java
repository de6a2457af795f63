package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.HexFormat;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** The master keys of a run, from the JSON file that INTEROP_KEYS names. */
record Keys(String kmsKeyId, SecretKey aes, KeyPair rsa) {
    static Keys load() throws IOException, GeneralSecurityException {
        JsonNode json = new ObjectMapper().readTree(new File(System.getenv("INTEROP_KEYS")));
        KeyFactory rsa = KeyFactory.getInstance("RSA");
        return new Keys(
                json.get("kms_key_id").textValue(),
                new SecretKeySpec(HexFormat.of().parseHex(json.get("aes256").textValue()), "AES"),
                new KeyPair(
                        rsa.generatePublic(new X509EncodedKeySpec(json.get("rsa2048_spki_der").binaryValue())),
                        rsa.generatePrivate(new PKCS8EncodedKeySpec(json.get("rsa2048_pkcs8_der").binaryValue()))));
    }
}
