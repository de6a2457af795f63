// Interop peer: the s3crypto package of the AWS SDK for Go, version 1 (KMS keys only). Its V1 client writes the wrap `kms`,
// its V2 client `kms+context`; everything is read by the V2 client.
package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/kms"
	"github.com/aws/aws-sdk-go/service/s3"
	"github.com/aws/aws-sdk-go/service/s3/s3crypto"
)

type putter interface {
	PutObject(*s3.PutObjectInput) (*s3.PutObjectOutput, error)
}

type writer func(c sdk, description s3crypto.MaterialDescription, save s3crypto.SaveStrategy) (putter, error)

var writers = map[string]writer{
	"v2-kms-cbc": v1Writer(func(keys s3crypto.CipherDataGenerator) s3crypto.ContentCipherBuilder {
		return s3crypto.AESCBCContentCipherBuilder(keys, s3crypto.AESCBCPadder)
	}),
	"v2-kms-gcm":     v1Writer(s3crypto.AESGCMContentCipherBuilder),
	"v2-kms_context": v2Writer,
}

type sdk struct {
	session *session.Session
	kms     *kms.KMS
	s3      *s3.S3
	key     string
}

func newSDK() sdk {
	shared, err := session.NewSession(&aws.Config{
		Endpoint:         aws.String(os.Getenv("INTEROP_ENDPOINT")),
		S3ForcePathStyle: aws.Bool(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	return sdk{shared, kms.New(shared), s3.New(shared), loadKeys().KMSKeyID}
}

func v1Writer(content func(s3crypto.CipherDataGenerator) s3crypto.ContentCipherBuilder) writer {
	return func(c sdk, description s3crypto.MaterialDescription, save s3crypto.SaveStrategy) (putter, error) {
		keys := s3crypto.NewKMSKeyGeneratorWithMatDesc(c.kms, c.key, description)
		return s3crypto.NewEncryptionClient(c.session, content(keys), func(o *s3crypto.EncryptionClient) {
			o.SaveStrategy = save
		}), nil
	}
}

func v2Writer(c sdk, description s3crypto.MaterialDescription, save s3crypto.SaveStrategy) (putter, error) {
	keys := s3crypto.NewKMSContextKeyGenerator(c.kms, c.key, description)
	content := s3crypto.AESGCMContentCipherBuilderV2(keys)
	return s3crypto.NewEncryptionClientV2(c.session, content, func(o *s3crypto.EncryptionClientOptions) {
		o.SaveStrategy = save
	})
}

func (c sdk) put(r request) error {
	save := map[string]s3crypto.SaveStrategy{
		inMetadata: s3crypto.HeaderV2SaveStrategy{},
		inFile:     s3crypto.S3SaveStrategy{Client: c.s3},
	}
	client, err := writers[r.Format](c, aws.StringMap(r.Context), save[r.Location])
	if err != nil {
		return err
	}
	_, err = client.PutObject(&s3.PutObjectInput{
		Bucket: aws.String(r.Bucket), Key: aws.String(r.Key), Body: bytes.NewReader(r.Body),
	})
	return err
}

// get takes no encryption context: the package uses the stored one. The load strategies are given, not left to the default,
// so that the envelope comes from where the request says.
func (c sdk) get(r request) ([]byte, error) {
	load := map[string]s3crypto.LoadStrategy{
		inMetadata: s3crypto.HeaderV2LoadStrategy{},
		inFile:     s3crypto.S3LoadStrategy{Client: c.s3},
	}
	registry, err := c.registry()
	if err != nil {
		return nil, err
	}
	client, err := s3crypto.NewDecryptionClientV2(c.session, registry, func(o *s3crypto.DecryptionClientOptions) {
		o.LoadStrategy = load[r.Location]
	})
	if err != nil {
		return nil, err
	}
	out, err := client.GetObject(&s3.GetObjectInput{Bucket: aws.String(r.Bucket), Key: aws.String(r.Key)})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// registry accepts all that the package can read, the legacy wrap and content cipher included.
func (c sdk) registry() (*s3crypto.CryptoRegistry, error) {
	registry := s3crypto.NewCryptoRegistry()
	return registry, errors.Join(
		s3crypto.RegisterKMSContextWrapWithCMK(registry, c.kms, c.key),
		s3crypto.RegisterKMSWrapWithCMK(registry, c.kms, c.key),
		s3crypto.RegisterAESGCMContentCipher(registry),
		s3crypto.RegisterAESCBCContentCipher(registry, s3crypto.AESCBCPadder),
	)
}

func main() {
	c := newSDK()
	all := cells([]string{"v2-kms-cbc", "v2-kms-gcm", "v2-kms_context"}, inMetadata, inFile)
	peer{
		name:    "go_sdk1",
		modules: []string{"github.com/aws/aws-sdk-go"},
		writes:  all,
		reads:   all,
		put:     c.put,
		get:     c.get,
	}.serve()
}
