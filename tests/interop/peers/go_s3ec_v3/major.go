// Interop peer: the Amazon S3 Encryption Client for Go, major version 3 (KMS keys only). It writes V2 and
// reads V2 and V3; instruction files it can only read.
package main

import (
	"github.com/aws/amazon-s3-encryption-client-go/v3/client"
	"github.com/aws/amazon-s3-encryption-client-go/v3/commitment"
	"github.com/aws/amazon-s3-encryption-client-go/v3/materials"
)

const encryptionContextKey = client.EncryptionContext

func (c s3ec) client(f format) (objectAPI, error) {
	keyring := materials.NewKmsKeyring(c.kms, c.key, func(o *materials.KeyringOptions) {
		o.EnableLegacyWrappingAlgorithms = f.legacyWrap
	})
	manager, err := materials.NewCryptographicMaterialsManager(keyring)
	if err != nil {
		return nil, err
	}
	return client.New(c.s3, manager, func(o *client.EncryptionClientOptions) {
		o.EnableLegacyUnauthenticatedModes = f.legacyContent
		o.CommitmentPolicy = policies[f.commits]
	})
}

var policies = map[bool]commitment.CommitmentPolicy{
	false: commitment.FORBID_ENCRYPT_ALLOW_DECRYPT,
	true:  commitment.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}

func main() {
	c := newS3EC()
	readable := []string{"v2-kms-cbc", "v2-kms-gcm", "v2-kms_context", "v3-kms_context"}
	peer{
		name: "go_s3ec_v3",
		modules: []string{
			"github.com/aws/amazon-s3-encryption-client-go/v3",
			"github.com/aws/aws-sdk-go-v2/service/kms",
			"github.com/aws/aws-sdk-go-v2/service/s3",
		},
		writes: cells([]string{"v2-kms_context"}, inMetadata),
		reads:  cells(readable, inMetadata, inFile),
		put:    c.put,
		get:    c.get,
	}.serve()
}
