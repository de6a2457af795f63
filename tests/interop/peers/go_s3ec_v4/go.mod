module interop/go_s3ec_v4

go 1.24

require (
	github.com/aws/amazon-s3-encryption-client-go/v4 v4.0.0
	github.com/aws/aws-sdk-go-v2 v1.41.5
	github.com/aws/aws-sdk-go-v2/config v1.26.1
	github.com/aws/aws-sdk-go-v2/service/kms v1.27.4
	github.com/aws/aws-sdk-go-v2/service/s3 v1.97.3
)
