// What the peers for the major versions 3 and 4 of the Amazon S3 Encryption Client for Go have in common: a client for each
// request, built as its format wants. Their APIs differ only in the import path, which major.go keeps to itself.
package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// objectAPI is the part of an encryption client that is used here.
type objectAPI interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// format says how a client must be configured for one wire format.
type format struct {
	legacyWrap    bool // accept the wrap `kms`
	legacyContent bool // accept CBC content
	commits       bool // V3: encryption and decryption require key commitment
}

var formats = map[string]format{
	"v2-kms-cbc":     {legacyWrap: true, legacyContent: true},
	"v2-kms-gcm":     {legacyWrap: true},
	"v2-kms_context": {},
	"v3-kms_context": {commits: true},
}

type s3ec struct {
	s3  *s3.Client
	kms *kms.Client
	key string
}

// newS3EC sets AWS_ENDPOINT_URL for the whole process, because the encryption client fetches an instruction file with an
// S3 client of its own, made from the default configuration.
func newS3EC() s3ec {
	if err := os.Setenv("AWS_ENDPOINT_URL", os.Getenv("INTEROP_ENDPOINT")); err != nil {
		log.Fatal(err)
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	pathStyle := func(o *s3.Options) { o.UsePathStyle = true }
	return s3ec{s3.NewFromConfig(cfg, pathStyle), kms.NewFromConfig(cfg), loadKeys().KMSKeyID}
}

func (c s3ec) put(r request) error {
	client, err := c.client(formats[r.Format])
	if err != nil {
		return err
	}
	_, err = client.PutObject(withContext(r), &s3.PutObjectInput{
		Bucket: aws.String(r.Bucket), Key: aws.String(r.Key), Body: bytes.NewReader(r.Body),
	})
	return err
}

func (c s3ec) get(r request) ([]byte, error) {
	client, err := c.client(formats[r.Format])
	if err != nil {
		return nil, err
	}
	out, err := client.GetObject(withContext(r), &s3.GetObjectInput{Bucket: aws.String(r.Bucket), Key: aws.String(r.Key)})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// withContext attaches the caller's encryption context, except for the wrap `kms`: what its writers store as the context is
// their own affair, and the client compares only when it is given one.
func withContext(r request) context.Context {
	ctx := context.Background()
	if formats[r.Format].legacyWrap {
		return ctx
	}
	given := r.Context
	if given == nil {
		given = map[string]string{}
	}
	return context.WithValue(ctx, encryptionContextKey, given)
}
